"""Whatever stands in a file or an option: a spec, or an error for people, never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pamsim.config import DeviceSpec, SystemSpec, config_constants, load_device, load_system
from pamsim.config.reader import parse
from pamsim.errors import PamsimError

SCALARS = st.one_of(
    st.integers(0, 200),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=True),
    st.booleans(),
    st.none(),
    st.text(max_size=12),
    st.sampled_from(["14 ns", "5.2 Gbps", "nRP + 1", "EXP_*", "$pu", "hbm3", "Bank", "1e9", "on"]),
)
KEYS = [c.name for c in config_constants("system", "pam-hbm")] + [
    "tiers.hbm.device", "tiers.hbm.link", "host", "layout", "weights_tier", "spread", "name",
    "tiers.hbm.device.energy", "tiers.hbm.device.bus", "tiers.hbm.device.ticks_per_ck",
    "tiers.hbm.device.commands.ACT.cycles", "tiers.hbm.device.commands.RD.opens",
    "tiers.hbm.device.commands.REFab.completion", "tiers.hbm.device.durations.nEXP.cycles",
    "tiers.hbm.device.activate_window.window", "tiers.hbm.device.refresh.interval",
    "tiers.hbm.device.transfers_per_ck", "tiers.hbm.device.peak_command",
    "tiers.hbm.device.timing.nRP.unit", "tiers.hbm.device.timing.nRP.range",
]  # fmt: skip
SECTIONS = ["timing", "pim", "organisation", "commands", "groups", "levels", "timing_constraints",
            "durations", "refresh", "energy", "activate_window", "sources", "extends", "bus",
            "parameters"]  # fmt: skip
NAMES = ["nRP", "rate", "tCK", "lanes", "clock", "rows", "ACT", "RD", "pu", "nEXP", "value", "unit",
         "source", "range", "level", "latency", "constants", "act_pre_pj"]  # fmt: skip
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICK
@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text, "x.yaml")
    except PamsimError as error:
        assert error.message


@QUICK
@given(st.binary(max_size=120))
def test_any_bytes_load_or_are_refused(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_bytes(raw)
        try:
            load_device(path)
        except PamsimError as error:
            assert error.message


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(SECTIONS),
        st.recursive(
            SCALARS,
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
            ),
            max_leaves=8,
        ),
        max_size=3,
    )
)
def test_any_change_to_a_device_loads_or_is_refused(changes: dict[str, object]) -> None:
    import json

    document = {"name": "mine", "extends": "hbm3-pam", **changes}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(json.dumps(document))  # JSON is YAML 1.2
        try:
            assert isinstance(load_device(path), DeviceSpec)
        except PamsimError as error:
            assert error.message


@QUICK
@given(st.lists(st.tuples(st.sampled_from(KEYS), SCALARS), min_size=1, max_size=3))
def test_any_value_of_a_known_key_is_set_or_refused(items: list[tuple[str, object]]) -> None:
    try:
        assert isinstance(load_system("pam-hbm", [f"{k}={v}" for k, v in items]), SystemSpec)
    except PamsimError as error:
        assert error.message


@QUICK
@given(st.text(max_size=40))
def test_any_option_is_set_or_refused(text: str) -> None:
    try:
        load_system("pam-hbm", [text])
    except PamsimError as error:
        assert error.message


@QUICK
@given(st.text(max_size=40))
def test_any_name_is_found_or_refused(name: str) -> None:
    try:
        load_system(name)
    except PamsimError as error:
        assert error.message
