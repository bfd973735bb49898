"""`pamsim doctor`: what pamsim finds on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import click

from pamsim.cli.options import cores
from pamsim.cli.output import note, print_json
from pamsim.errors import EXIT_INTERNAL, EXIT_OK


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> int:
    """Say what pamsim finds on this machine: versions, native core, compiler, cores, Ramulator.

    Compiles the bridge to Ramulator 2.1 where RAMULATOR2_ROOT names one that is built. Exit
    code 1 when the native core does not load.
    """
    findings = dict(_findings())
    if as_json:
        print_json(findings)
    else:
        for name, value in findings.items():
            click.echo(f"{name:<16}  {value}")
    return EXIT_OK if findings["native_core"]["loaded"] else EXIT_INTERNAL


class _Core(dict[str, Any]):
    """The native core's state; as text for people."""

    def __str__(self) -> str:
        return f"build {self['build_id']}" if self["loaded"] else f"does not load: {self['error']}"


class _Tool(dict[str, Any]):
    def __str__(self) -> str:
        return self["path"] or f"not found ({self['needed_for']})"


def _findings() -> Iterator[tuple[str, Any]]:
    import platform

    from pamsim.report.manifest import versions

    yield from versions().items()
    yield "platform", platform.platform()
    yield "cores", cores()
    try:
        from pyramulator import build_id

        yield "native_core", _Core(loaded=True, build_id=build_id(), error=None)
    except ImportError as error:
        yield "native_core", _Core(loaded=False, build_id=None, error=str(error))
    needed_for = "only to build the core and the bridge"
    yield "cxx_compiler", _Tool(path=shutil.which("g++"), needed_for=needed_for)
    yield "ramulator2", _ramulator()


class _Ramulator(dict[str, Any]):
    """path, commit, bridge: null where there is none; error: what keeps it from being used."""

    def __str__(self) -> str:
        if self["path"] is None:
            return "RAMULATOR2_ROOT is not set; the embedded engine does not need it"
        return self["error"] or f"commit {self['commit'][:7]}, built; bridge: {self['bridge']}"


def _ramulator() -> _Ramulator:
    """The checkout that RAMULATOR2_ROOT names, with the bridge compiled against it."""
    found = _Ramulator(path=os.environ.get("RAMULATOR2_ROOT") or None, commit=None, bridge=None)
    found["error"] = None
    if found["path"] is None:
        return found
    try:
        from pyramulator import bridge, bridge_build
        from pyramulator.errors import EngineError
    except ImportError as error:  # without the native core there is no bridge
        found["error"] = str(error)
        return found
    try:
        bridge_build.find()
        found["commit"] = bridge_build.COMMIT
        if not bridge_build.is_compiled():
            note("compiling the bridge to Ramulator, once")
        found["bridge"] = bridge.bridge_id()
    except EngineError as error:
        found["error"] = str(error)
    return found
