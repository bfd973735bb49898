"""Only what pyproject.toml cannot say: what is built by cffi, and the bridge's sources as data."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BRIDGE = Path("third_party/ramulator_bridge")


class BuildWithBridge(build_py):
    """Puts the sources of the bridge, which is compiled where it is used, beside pyramulator.

    They lie outside the packages' folder; an editable install finds them where they are.
    """

    def _bridge_files(self) -> dict[str, str]:
        """Where each goes, and where it is kept."""
        if self.editable_mode:
            return {}
        into = Path(self.build_lib) / "pyramulator" / BRIDGE.name
        return {str(into / path.name): str(path) for path in sorted(BRIDGE.glob("*.[hc]*"))}

    def run(self) -> None:
        super().run()
        for target, source in self._bridge_files().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._bridge_files()]


setup(
    cffi_modules=["frontend/pyramulator/_build.py:ffibuilder"],
    cmdclass={"build_py": BuildWithBridge},
)
