"""Every packaged description loads, and says where each of its numbers comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources

import jsonschema
import pytest

from pamsim.config import config_constants, list_configs, load_device, load_system, schema_files
from pamsim.config.documents import KINDS, ROOT
from pamsim.config.reader import read

ALL = [(kind, name) for kind in KINDS for name in list_configs(kind)]
FILES = sorted(ROOT.glob("*/*.yaml"))


def test_the_promised_presets_exist() -> None:
    assert {"hbm3-pam", "hbm3-pam-gqa", "hbm3-6400"} <= set(list_configs("device"))
    assert {"pam-hbm", "pam-hbm-gqa", "pam-hbm-6400"} <= set(list_configs("system"))
    assert {"h100"} <= set(list_configs("host"))
    assert {"hbm3", "hbm3-pu-3x-read"} <= set(list_configs("energy"))


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_constant_has_unit_and_source(kind: str, name: str) -> None:
    constants = config_constants(kind, name)
    assert constants
    assert len({c.name for c in constants}) == len(constants)
    for constant in constants:
        assert constant.unit, constant
        assert len(constant.source) > 10, constant
        if constant.assumed:
            assert constant.range or constant.choices, constant
        if constant.range:
            assert constant.assumed, constant  # a sourced figure has no range of its own
            assert constant.range[0] <= float(constant.value) <= constant.range[1], constant
        if constant.choices:
            assert str(constant.value).lower() in constant.choices, constant


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_source_is_a_paper_standard_repository_or_assumption(kind: str, name: str) -> None:
    known = ("PAM, arXiv 2602.11521", "scale-snu/attacc_simulator @", "CMU-SAFARI/", "JESD238",
             "Yufeng98/CENT @", "O'Connor et al., ", "arkhadem/aim_simulator @", "S. Lee et al., ",
             "umd-memsys/DRAMsim3 @", "SAITPublic/PIMSimulator @", "JESD235", "AMD PG313",
             "SK hynix, ", "gem5/gem5 @", "JESD79-4", "ONFI 5.0", "SimpleSSD/SimpleSSD @",
             "casys-kaist/LLMServingSim @", "vllm-project/vllm @", "Double Sparsity, arXiv ",
             "CXL-DMSim, arXiv ", "CMU-SAFARI/MQSim @", "Lucas-Song-Dev/Capstone_AI_037 @",
             "assumption: ", "derived: ")  # fmt: skip
    for constant in config_constants(kind, name):
        assert constant.source.startswith(known), constant
        assert "shared" not in constant.source.replace("shared by", ""), constant
        assert "unnamed" not in constant.source, constant


# A public repository is owner/name, then its commit and the path in it. No source needs a slash
# for anything else.
REPOSITORY = re.compile(r"\b[A-Za-z][\w-]*/[A-Za-z][\w.-]*")
UNIT = re.compile(r"\b(?:pJ/bit|GB/s)\b")
AT_COMMIT = re.compile(r"[\w-]+/[\w.-]+ @[0-9a-f]{7,40} [\w.-]+(?:/[\w.-]+)*")


def source_texts() -> Iterator[tuple[str, str]]:
    """(file, source) of every source of every packaged description and model."""
    for path in sorted(ROOT.rglob("*.yaml")):
        data = read(path).data
        for source in [*data.get("sources", {}).values(), *_own_sources(data)]:
            yield path.name, source
    for path in sorted((ROOT / "model").glob("*.json")):
        for source in json.loads(path.read_text())["_sources"].values():
            yield path.name, source


def _own_sources(node: object) -> Iterator[str]:
    """Sources written beside a value: assumptions and derivations."""
    if isinstance(node, dict):
        if "value" in node and node["source"].startswith(("assumption", "derived")):
            yield node["source"]
        for child in node.values():
            yield from _own_sources(child)


def test_a_repository_is_named_with_commit_and_path() -> None:
    texts = list(source_texts())
    assert sum("@" in text for _, text in texts) > 40  # those of the models and of the devices
    for file, text in texts:
        assert not REPOSITORY.search(UNIT.sub("", AT_COMMIT.sub("", text))), (file, text)


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_file_obeys_the_published_schema(path: object) -> None:
    kind = path.parent.name  # type: ignore[attr-defined]
    schema = json.loads(schema_files()[f"{kind}.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read(path).data, schema)  # type: ignore[arg-type]


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    schema = json.loads(schema_files()["link.schema.json"])
    data = read(ROOT / "link" / "nvlink4.yaml").data
    for bad in ({**data, "bandwith": 1}, {**data, "latency": {"value": 1}}, {"name": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_a_file_is_named_like_what_it_describes() -> None:
    for path in FILES:
        assert read(path).data["name"] == path.stem


def test_no_file_mentions_an_absolute_path() -> None:
    for path in ROOT.rglob("*.yaml"):
        text = path.read_text()
        assert not re.search(r"(?:^|[\s'\"])/\w+/", text)


def test_the_package_data_is_reachable() -> None:
    assert resources.files("ramulator_configs").joinpath("device/hbm3-pam.yaml").is_file()


def test_pam_hbm_is_one_npu_with_five_stacks() -> None:
    # PAM, arXiv 2602.11521, Table 1: 40 stacks of 16 GB, 16 channels each, for 8 NPUs
    tier = load_system("pam-hbm").tier("hbm")
    assert (tier.devices, tier.channels) == (40 // 8, 40 // 8 * 16)
    assert tier.capacity_bytes == 5 * 16 * 2**30


def test_gqa_differs_from_pam_in_the_buffer_only() -> None:
    plain, gqa = load_device("hbm3-pam"), load_device("hbm3-pam-gqa")
    assert (plain.pim.buffer_for(8), gqa.pim.buffer_for(8)) == (512, 8 * 512)
    assert plain.timing_ck == gqa.timing_ck
    assert plain.organisation == gqa.organisation
    assert plain.energy == gqa.energy


def test_energy_of_rails_is_voltage_times_current() -> None:
    # CMU-SAFARI/HBM-Power @318d3d1 config/HBM3E_6400MTs/power.json: VDD 1.1 V, IDD in mA
    table = load_device("hbm3-pam").energy
    assert table.get("background_precharged_mw").value == pytest.approx(1.1 * 70.5)  # type: ignore[union-attr]
    assert table.get("background_active_1_bank_mw").value == pytest.approx(1.1 * 71.2)  # type: ignore[union-attr]
    assert table.get("background_active_16_banks_mw").value == pytest.approx(1.1 * 73.3)  # type: ignore[union-attr]
    # one REFab: 1.1 V x (164.7 - 71.2) mA x 350 ns = 35997.5 pJ, in both devices
    for name in ("hbm3-pam", "hbm3-6400"):
        refresh = load_device(name).energy.get("refresh_all_bank_pj")
        assert refresh is not None
        assert refresh.value == pytest.approx(1.1 * (164.7 - 71.2) * 350)
        assert (refresh.unit, refresh.scope) == ("pJ", "pseudo_channel")


def test_the_read_path_is_attacc_s_sum() -> None:
    # AttAcc config.py: 0.11 + 0.44 + 1.01 + 1.23 + 0.5 + 0.3 = 3.59 pJ/bit, 0.11 of the activate
    table = load_device("hbm3-pam").energy
    path = ("cell_read_pj_per_bit", "column_to_bank_group_pj_per_bit",
            "bank_group_to_global_io_pj_per_bit", "tsv_pj_per_bit",
            "interposer_pj_per_bit")  # fmt: skip
    assert sum(table.get(n).value for n in path) == pytest.approx(3.59 - 0.11)  # type: ignore[union-attr,misc]
    # its 0.11 pJ/bit is FGDRAM's activate over a full row: 909 pJ / 8192 bit
    assert table.get("act_pre_pj").value / 8192 == pytest.approx(0.11, abs=0.001)  # type: ignore[union-attr]


def test_three_reads_is_an_alternative_that_the_default_lacks() -> None:
    default = load_device("hbm3-pam")
    three = load_device("hbm3-pam", ["energy=hbm3-pu-3x-read"])
    assert default.energy.get("mac_read_multiple") is None
    assert three.energy.get("mac_read_multiple").value == 3  # type: ignore[union-attr]
    assert three.energy.get("act_pre_pj") == default.energy.get("act_pre_pj")
