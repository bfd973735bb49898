"""Systems and devices as the rest of pamsim sees them: timing, peaks, overrides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pamsim.config import (
    Constant,
    SystemSpec,
    config_constants,
    list_configs,
    load_device,
    load_document,
    load_system,
    resolved_json,
    schema_files,
)
from pamsim.config import reader as config_reader
from pamsim.errors import PamsimError


def value(constants: tuple[Constant, ...], name: str) -> object:
    return next(c for c in constants if c.name == name).value


def test_hbm3_pam_timing() -> None:
    # PAM, arXiv 2602.11521, Table 1
    table_1 = {"nRP": 19, "nRCDRD": 19, "nRCDWR": 19, "nRAS": 45, "nRRDL": 4, "nCCDS": 2,
               "nCCDL": 4, "nWR": 21, "nREFI": 5070, "nFAW": 39}  # fmt: skip
    # scale-snu/attacc_simulator @c600051 pim_ramulator_src/HBM3-PIM.cpp, HBM3_5.2Gbps
    attacc = {"nBL": 2, "nCL": 19, "nCWL": 6, "nRC": 63, "nRRDS": 2, "nRTP": 8, "nWTRS": 8,
              "nWTRL": 11}  # fmt: skip
    ramulator = {"nCCDR": 3, "nPPD": 2}  # CMU-SAFARI/ramulator2 @c5b1c3a, HBM3_6400Mbps
    derived = {"nRTW": 19 + 2 + 2 - 6, "nRFC": 455}  # nCL + nBL + 2 - nCWL; 350 ns x 1.3 GHz
    device = load_device("hbm3-pam")
    assert device.timing_ck == table_1 | attacc | ramulator | derived
    assert (device.ticks_per_ck, device.ticks_per_second) == (2, 2_600_000_000)


def test_nrc_below_nras_plus_nrp_is_kept_and_said() -> None:
    assert load_device("hbm3-pam").warnings == (
        "nRC 63 CK is below nRAS + nRP = 64 CK: "
        "activate, precharge, activate binds, nRC never does",
    )
    assert load_device("hbm3-6400").warnings == ()  # 72 >= 45 + 26


@pytest.mark.parametrize(
    ("name", "internal", "external"),
    [
        # 128 B a MAC x one column command a CK x 1.3 GHz x 16 channels;
        # 16 channels x 2 pseudo-channels x 32 bit x 5.2 Gb/s
        ("hbm3-pam", 128 * 1_300_000_000 * 16, 16 * 2 * 32 * 5_200_000_000 // 8),
        ("hbm3-pam-gqa", 2_662_400_000_000, 665_600_000_000),
        ("hbm3-6400", 128 * 1_600_000_000 * 16, 819_200_000_000),
    ],
)
def test_peaks_equal_the_arithmetic_by_hand(name: str, internal: int, external: int) -> None:
    device = load_device(name)
    assert device.peak_bytes_per_second == internal
    assert device.external_bytes_per_second == external
    assert device.peak_rule.endswith(f"= {internal / 1e9:g} GB/s")


@pytest.mark.parametrize(
    ("override", "per_ck"),
    [
        # nCCDS 4 CK in each of 2 pseudo-channels: half a MAC a CK
        (["timing.nCCDS=4", "timing.nCCDR=4"], 2 / 4),
        # nCCDL 32 CK in each of 16 bank groups
        (["timing.nCCDL=32"], 16 / 32),
        # a PU at 20 MHz works ceil(2600 / 20) = 130 ticks = 65 CK on a MAC, in each of 16 groups
        (["pim.clock=20 MHz"], 16 / 65),
    ],
)
def test_the_peak_is_the_least_of_slot_ccds_ccdl_and_pu_time(
    override: list[str], per_ck: float
) -> None:
    device = load_device("hbm3-pam", override)
    expected = 128 * per_ck * 1.3e9 * 16
    assert device.peak_bytes_per_second == pytest.approx(expected, rel=1e-9)


def test_the_link_of_the_stacks_is_as_wide_as_the_stacks() -> None:
    assert load_system("pam-hbm").tier("hbm").link.bytes_per_second == 5 * 665_600_000_000
    four = load_system("pam-hbm", ["tiers.hbm.devices=4"])
    assert four.tier("hbm").link.bytes_per_second == 4 * 665_600_000_000
    assert load_system("pam-hbm-6400").tier("hbm").link.bytes_per_second == 5 * 819_200_000_000


def test_host_and_links_in_whole_units() -> None:
    host = load_system("pam-hbm").host
    # scale-snu/attacc_simulator @c600051 src/config.py
    assert host.flops_per_second == 989_400_000_000_000
    assert (host.compute_utilisation, host.memory_utilisation) == (0.8, 0.85)
    assert host.memory_bytes_per_second is None  # the tier's
    assert host.energy_pj_per_flop == 0.32 / 2
    link = load_system("pam-hbm", ["tiers.hbm.link=pcie5-x16"]).tier("hbm").link
    assert (link.bytes_per_second, link.latency_ps) == (64_000_000_000, 55_000)
    assert link.energy_pj_per_bit == 4.4


def test_overrides_reach_any_field() -> None:
    system = load_system(
        "pam-hbm",
        ["tiers.hbm.device.timing.nRCDRD=20", "tiers.hbm.devices=4",
         "host.memory_bandwidth=3.3 TB/s",
         "tiers.hbm.device.pim.buffer_bytes=1 KiB", "tiers.hbm.link.latency=50 ns",
         "tiers.hbm.device.energy.constants.mac_pj=0.5", "layout=token-major"],
    )  # fmt: skip
    tier = system.tier("hbm")
    assert tier.device.timing_ck["nRCDRD"] == 20
    assert tier.devices == 4
    assert system.host.memory_bytes_per_second == 3_300_000_000_000
    assert tier.device.pim.buffer_bytes == 1024
    assert tier.link.latency_ps == 50_000
    assert tier.device.energy.get("mac_pj").value == 0.5  # type: ignore[union-attr]
    assert system.layout == "token-major"
    assert system.overrides["tiers.hbm.devices"] == 4
    changed = next(c for c in tier.device.constants if c.name == "timing.nRCDRD")
    assert (changed.value, changed.unit, changed.source) == (20, "CK", "set by the user")


def test_an_expression_follows_what_it_names() -> None:
    # nRTW = nCL + nBL + 2 - nCWL
    assert load_device("hbm3-pam", ["timing.nCL=25"]).timing_ck["nRTW"] == 25 + 2 + 2 - 6


def test_a_time_is_rounded_up_to_ck() -> None:
    # 14.7 ns x 1.3 GHz = 19.11 CK
    assert load_device("hbm3-pam", ["timing.nRP=14.7 ns"]).timing_ck["nRP"] == 20


def test_a_range_is_in_the_unit_of_its_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    guess = "source: 'assumption: a guess'"
    path.write_text(
        "name: mine\nextends: hbm3-pam\ntiming:\n"
        f"  nRFC: {{value: 350 ns, {guess}, range: [260, 410]}}\n"
        f"  nRTW: {{value: nCL + 1, {guess}, range: [3, 30]}}\n"
        "energy:\n  extends: hbm3\n  constants:\n"
        f"    mac_pj: {{value: 320 fJ, {guess}, range: [100, 640]}}\n"
    )
    constants = {c.name: c for c in config_constants("device", str(path))}
    # 260 ns and 410 ns are 338 and 533 CK of 1.3 GHz
    assert (constants["timing.nRFC"].value, constants["timing.nRFC"].range) == (455, (338, 533))
    assert (constants["timing.nRTW"].value, constants["timing.nRTW"].range) == (20, (3, 30))
    mac = constants["energy.constants.mac_pj"]
    assert (mac.value, mac.unit, mac.range) == (0.32, "pJ", (0.1, 0.64))


def test_names_are_put_in_place_before_values_whatever_the_order() -> None:
    options = ["tiers.hbm.device.timing.nRP=27", "tiers.hbm.device=hbm3-6400"]
    for order in (options, options[::-1]):
        device = load_system("pam-hbm", order).tier("hbm").device
        assert (device.name, device.timing_ck["nRP"]) == ("hbm3-6400", 27)


def test_a_set_value_does_not_leak_into_the_next_load() -> None:
    load_system("pam-hbm", ["tiers.hbm.device.timing.nRCDRD=20"])
    assert load_system("pam-hbm").tier("hbm").device.timing_ck["nRCDRD"] == 19


def test_a_user_file_extends_a_packaged_one_and_names_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nextends: hbm3-pam\nsources: {lab: our laboratory's measurement}\n"
        "timing:\n  nRCDRD: {value: 21, unit: CK, source: lab}\n"
    )
    path = tmp_path / "machine.yaml"
    path.write_text("name: machine\nextends: pam-hbm\ntiers: {hbm: {device: ./mine.yaml}}\n")
    system = load_system(path)
    device = system.tier("hbm").device
    assert (system.name, device.name) == ("machine", "mine")
    assert device.timing_ck["nRCDRD"] == 21
    assert device.timing_ck["nRP"] == 19  # inherited
    assert (system.path, device.path) == (str(path), str(tmp_path / "mine.yaml"))


def test_a_device_may_stand_in_place_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "machine.yaml"
    path.write_text(
        "name: machine\nextends: pam-hbm\ntiers:\n  hbm:\n    device:\n      name: inner\n"
        "      extends: hbm3-pam\n      energy: hbm3-pu-3x-read\n"
        "      timing: {nRP: {value: 20, source: 'derived: a trial'}}\n"
    )
    device = load_system(path).tier("hbm").device
    assert (device.name, device.timing_ck["nRP"]) == ("inner", 20)
    assert device.energy.get("mac_read_multiple") is not None


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_bom_and_crlf_change_nothing(tmp_path: Path, mark: str, newline: str) -> None:
    text = "name: mine\nextends: hbm3-pam\ntiming:\n  nRP: {value: 20, source: 'derived: trial'}\n"
    path = tmp_path / "mine.yaml"
    path.write_bytes((mark + text.replace("\n", newline)).encode())
    assert load_device(path).timing_ck["nRP"] == 20


def test_yaml_is_version_1_2(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: on\nb: 1e9\nc: 0o17\nd: 010\ne: yes\nf: 1_000\ng: ~\nh: 'true'\ni: 12:30\n")
    assert config_reader.read(path).data == {
        "a": "on", "b": 1e9, "c": 15, "d": 10, "e": "yes", "f": "1_000", "g": None, "h": "true",
        "i": "12:30",
    }  # fmt: skip


def test_config_constants_are_named_as_set_takes_them() -> None:
    constants = config_constants("system", "pam-hbm")
    assert value(constants, "tiers.hbm.device.timing.nRFC") == 455
    by_name = {c.name: c for c in constants}
    assert "written as 350 ns" in by_name["tiers.hbm.device.timing.nRFC"].note
    settable = [c for c in constants if not c.name.endswith("refresh_all_bank_pj")]
    for constant in settable:
        unit = "" if constant.unit == "1" or isinstance(constant.value, str) else constant.unit
        option = f"{constant.name}={str(constant.value).lower()} {unit}".strip()
        assert isinstance(load_system("pam-hbm", [option]), SystemSpec)


def test_resolved_json_is_the_same_each_time_and_has_no_paths() -> None:
    first = resolved_json(load_system("pam-hbm"))
    assert first == resolved_json(load_system("pam-hbm"))
    assert json.loads(first)["tiers"][0]["device"]["timing_ck"]["nRP"] == 19
    assert str(Path(__file__).parents[1]) not in first and "ramulator_configs" not in first


def test_schema_files_cover_every_kind() -> None:
    assert set(schema_files()) == {
        f"{kind}.schema.json" for kind in ("device", "energy", "host", "link", "system")
    }


def test_other_kinds_load_by_name() -> None:
    assert load_document("host", "h100").name == "h100"
    with pytest.raises(PamsimError, match="kind must be one of"):
        load_document("hosts", "h100")
    with pytest.raises(PamsimError, match="kind must be one of"):
        list_configs("hosts")
