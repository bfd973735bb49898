"""Files that are no description: not YAML 1.2, not text, bases that are none, names of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamsim.config import load_device, load_system
from pamsim.errors import EXIT_INPUT, PamsimError

DEVICE = "name: mine\nextends: hbm3-pam\n"
TIMING = DEVICE + "timing:\n"
TRIAL = "source: 'derived: a trial'"

# text of a file -> the whole message; FILE stands for the file's path
BAD_FILES = {
    "base that is none": (
        "name: mine\nextends: hbm3-pan\n",
        "device must be a known name or a YAML file, not 'hbm3-pan' [FILE:2:10] "
        "(did you mean 'hbm3-pam'?)",
    ),
    "base that is a number": (
        "name: mine\nextends: 7\n",
        "extends must be a name or a list of names, not 7 [FILE:2:10]",
    ),
    "base that is itself": (
        "name: mine\nextends: ./mine.yaml\n",
        "extends must not lead back to './mine.yaml' [FILE:2:10]",
    ),
    "energy that is none": (
        DEVICE + "energy: hbm3e\n",
        "energy must be a known name or a YAML file, not 'hbm3e' [FILE:3:9] (did you mean 'hbm3'?)",
    ),
    "not a mapping": (
        "- 1\n- 2\n",
        "device must be a mapping of keys to values, not a list [FILE:1:1]",
    ),
    "empty": ("", "device must be a mapping of keys to values, not nothing [FILE]"),
    "duplicate key": (
        TIMING + f"  nRP: {{value: 1, {TRIAL}}}\n  nRP: {{value: 2, {TRIAL}}}\n",
        "key must be unique, not 'nRP' again [FILE:5:3] (first in line 4)",
    ),
    "broken YAML": (
        "name: [mine\n",
        "file must be YAML 1.2: expected ',' or ']', but got '<stream end>' [FILE:2:1]",
    ),
    "tab": (
        "name: mine\n\textends: hbm3-pam\n",
        "file must be YAML 1.2: found character '\\t' that cannot start any token [FILE:2:1]",
    ),
    "not a number": (
        TIMING + f"  nRP: {{value: .nan, {TRIAL}}}\n",
        "number must be finite, not .nan [FILE:4:16]",
    ),
    "more than a float holds": (
        TIMING + f"  nRP: {{value: 1e999, {TRIAL}}}\n",
        "number must be finite, not 1e999 [FILE:4:16]",
    ),
    "a tag": (
        TIMING + f"  nRP: !!python/object:os.system {{value: 1, {TRIAL}}}\n",
        "value must be plain, not tagged tag:yaml.org,2002:python/object:os.syste [FILE:4:8]",
    ),
    "two documents": (
        DEVICE + "---\n" + DEVICE,
        "file must hold one document, not several [FILE:3:1]",
    ),
    "alias without an anchor": (
        DEVICE + "timing: *nowhere\n",
        "alias must name an anchor above it, not *nowhere [FILE:3:9]",
    ),
    "anchor inside itself": (
        DEVICE + "timing: &t\n  nRP: *t\n",
        "alias must name an anchor above it, not *t [FILE:4:8]",
    ),
    "key that is a list": (
        DEVICE + "? [a, b]\n: 1\n",
        "key must be plain text, not a list, mapping or alias [FILE:3:3]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(case: str, tmp_path: Path) -> None:
    text, message = BAD_FILES[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(PamsimError) as error:
        load_device(path)
    assert str(error.value).replace(str(path), "FILE") == message
    assert error.value.exit_code == EXIT_INPUT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pam-hmb", "system must be a known name or a YAML file, not 'pam-hmb' "
                    "(did you mean 'pam-hbm'?)"),
        ("nowhere/x.yaml", "system must be an existing file, not 'nowhere/x.yaml'"),
        ("", "system must be a known name or a YAML file, not ''"),
    ],
)  # fmt: skip
def test_missing_system(name: str, message: str) -> None:
    with pytest.raises(PamsimError) as error:
        load_system(name)
    assert str(error.value).startswith(message)


def test_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text("name: x\n")
    with pytest.raises(PamsimError, match=r"did you mean 'machine\.yaml'\?"):
        load_system(tmp_path / "machin.yaml")


def test_a_base_of_a_family_is_no_device() -> None:
    with pytest.raises(PamsimError, match="device must be a known name"):
        load_device("hbm-pim-family")


def test_an_anchor_bomb_is_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(PamsimError, match="at most 50000 values, anchors expanded"):
        load_device(path)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 5000)
    with pytest.raises(PamsimError, match="nesting must be at most 32 deep"):
        load_device(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"name: \xff\xfe\n", "file must be UTF-8, not a byte 0xff"),
        (b"\xff\xfen\x00a\x00", "file must be UTF-8, not UTF-16"),
        (b"name: a\x00b\n", "file must be text without control characters"),
        (b"a: " + b"x" * (1 << 20), "file must be at most 1048576 B, not longer"),
    ],
)
def test_files_that_are_no_text(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(raw)
    with pytest.raises(PamsimError) as error:
        load_device(path)
    assert error.value.message == message


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(PamsimError, match="must be an existing file"):
        load_device(tmp_path / "x.yaml")


def test_a_circle_of_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nextends: ./b.yaml\n")
    (tmp_path / "b.yaml").write_text("name: b\nextends: ./a.yaml\n")
    with pytest.raises(PamsimError, match=r"extends must not lead back to '\./a\.yaml'"):
        load_device(tmp_path / "a.yaml")
