"""Whatever stands in a file or an option: a spec, or an error for people, never anything else.

PAMSIM_FUZZ=20000 draws 20,000 examples of each kind instead of the few of a usual run.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import ANYTHING, SCALARS, fuzz, mutated

from pamsim.batch.sweep import Sweep, read_sweep
from pamsim.config import (
    KINDS,
    DeviceSpec,
    SystemSpec,
    config_constants,
    list_configs,
    load_device,
    load_document,
    load_system,
)
from pamsim.config.documents import load_tree, locate
from pamsim.config.overrides import expand
from pamsim.config.reader import parse
from pamsim.errors import PamsimError
from pamsim.model import ModelSpec, list_models, load_model
from pamsim.model.load import PRESETS

DEVICES = ["hbm3-pam", "ddr4-pam", "attacc", "gddr6-aim"]  # one of each family
SYSTEMS = ["pam-hbm", "pam-hbm-seq", "ddr-only", "gpu-only"]
KEYS = [c.name for c in config_constants("system", "pam-hbm")] + [
    "tiers.hbm.device", "tiers.hbm.link", "host", "layout", "weights_tier", "spread", "name",
    "tiers.hbm.device.energy", "tiers.hbm.device.bus", "tiers.hbm.device.ticks_per_ck",
    "tiers.hbm.device.commands.ACT.cycles", "tiers.hbm.device.commands.RD.opens",
    "tiers.hbm.device.commands.REFab.completion", "tiers.hbm.device.durations.nEXP.cycles",
    "tiers.hbm.device.activate_window.window", "tiers.hbm.device.refresh.interval",
    "tiers.hbm.device.transfers_per_ck", "tiers.hbm.device.peak_command",
    "tiers.hbm.device.timing.nRP.unit", "tiers.hbm.device.timing.nRP.range",
]  # fmt: skip
NOISE = ["tiers", "hbm", "device", "timing", "value", "unit", "nRP", "", " ", "x", "0", "host"]
SWEEP = {
    "model": ["llama-3-8b", "opt-13b"],
    "system": "pam-hbm",
    "workload": {"context": {"from": 64, "to": 1024, "factor": 2}, "batch": [1, 2]},
    "set": {"tiers.hbm.device.timing.nFAW": {"uniform": [16, 20], "step": 1}},
    "sample": {"method": "latin-hypercube", "count": 3, "seed": 1},
    "where": ["batch * context < 4096"],
    "zip": [],
}


def composed(kind: str, name: str) -> dict[str, Any]:
    """A description as one tree, with all that it extends and names in place."""
    tree = load_tree(kind, locate(kind, name))
    expand(tree, (), lambda path: {})
    return tree.data


DEVICE_TREES = {name: composed("device", name) for name in DEVICES}
SYSTEM_TREES = {name: composed("system", name) for name in SYSTEMS}
MODEL_TREES = {name: json.loads((PRESETS / f"{name}.json").read_text()) for name in list_models()}


def loads_or_says_why(load: Callable[[Path], object], content: object, spec: type) -> None:
    """JSON is YAML 1.2, so one writer serves both."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(text)
        try:
            assert isinstance(load(path), spec)
        except PamsimError as error:
            assert error.message and len(str(error)) < 30_000
            assert " must " in str(error) or "and " in str(error)


@fuzz(150)
@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text, "x.yaml")
    except PamsimError as error:
        assert " must " in error.message


@fuzz()
@given(st.binary(max_size=120))
def test_any_bytes_load_or_are_refused(raw: bytes) -> None:
    loads_or_says_why(load_device, raw, DeviceSpec)
    loads_or_says_why(load_model, raw, ModelSpec)
    loads_or_says_why(read_sweep, raw, Sweep)


@fuzz()
@given(ANYTHING, st.sampled_from(KINDS))
def test_any_tree_loads_or_is_refused(tree: object, kind: str) -> None:
    loads_or_says_why(lambda path: load_document(kind, path), tree, object)
    loads_or_says_why(load_model, tree, ModelSpec)
    loads_or_says_why(read_sweep, tree, Sweep)


@fuzz(25)
@given(st.data())
@pytest.mark.parametrize("name", DEVICES)
def test_a_changed_device_loads_or_is_refused(name: str, data: st.DataObject) -> None:
    loads_or_says_why(load_device, data.draw(mutated(DEVICE_TREES[name])), DeviceSpec)


@fuzz(12)
@given(st.data())
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_changed_system_loads_or_is_refused(name: str, data: st.DataObject) -> None:
    loads_or_says_why(load_system, data.draw(mutated(SYSTEM_TREES[name])), SystemSpec)


@fuzz()
@given(st.data())
def test_a_changed_file_of_the_package_loads_or_is_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    path = locate(kind, data.draw(st.sampled_from(list_configs(kind))))
    tree = parse(path.read_text(), path.name).data
    loads_or_says_why(lambda p: load_document(kind, p), data.draw(mutated(tree)), object)


@fuzz(150)
@given(st.data())
def test_a_changed_model_loads_or_is_refused(data: st.DataObject) -> None:
    tree = MODEL_TREES[data.draw(st.sampled_from(sorted(MODEL_TREES)))]
    loads_or_says_why(load_model, data.draw(mutated(tree)), ModelSpec)


@fuzz(150)
@given(st.data())
def test_a_changed_sweep_is_read_or_refused(data: st.DataObject) -> None:
    loads_or_says_why(read_sweep, data.draw(mutated(SWEEP)), Sweep)


@fuzz(100)
@given(st.lists(st.tuples(st.sampled_from(KEYS), SCALARS), min_size=1, max_size=3))
def test_any_value_of_a_known_key_is_set_or_refused(items: list[tuple[str, object]]) -> None:
    try:
        assert isinstance(load_system("pam-hbm", [f"{k}={v}" for k, v in items]), SystemSpec)
    except PamsimError as error:
        assert " must " in str(error)


@fuzz(100)
@given(st.sampled_from(KEYS), st.lists(st.sampled_from(NOISE), max_size=3), st.integers(0, 6))
def test_a_key_with_noise_is_set_or_refused(key: str, noise: list[str], cut: int) -> None:
    option = ".".join([*key.split(".")[:cut], *noise]) + "=1"
    try:
        assert isinstance(load_system("pam-hbm", [option]), SystemSpec)
    except PamsimError as error:
        assert " must " in str(error)


@fuzz(100)
@given(st.text(max_size=40))
def test_any_option_and_name_is_taken_or_refused(text: str) -> None:
    for name, options in (("pam-hbm", [text]), (text, [])):
        try:
            load_system(name, options)
        except PamsimError as error:
            assert " must " in str(error)
