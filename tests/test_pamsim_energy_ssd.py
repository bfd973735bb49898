"""Energy of SSD-PIM: what a command does, by hand, and that a step's account is complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ssd_cases import compile_small, model, system

from pamsim.cli.main import main
from pamsim.compiler.compiled import CompiledStep
from pamsim.config import load_device
from pamsim.energy.account import command_terms
from pamsim.energy.commands import banks_of, command_work
from pamsim.energy.mac_buffers import mac_buffer_bytes
from pamsim.energy.table import Lookup
from pamsim.sim import count_commands

PAGE_BITS = 16384 * 8


def test_a_page_by_hand() -> None:
    """3.3 V x 25 mA (SimpleSSD/SimpleSSD @2be3716 pal/config.cc) x 30 us, 750 us and 3.8 ms."""
    device = load_device("ssd-pam")
    lookup = Lookup(device.name, device.energy)
    counts = {"READ": 10, "CACHE": 10, "XFER": 10, "PROG": 3, "ERASE": 2}
    terms = {t.name: t for t in command_terms("ssd", device, counts, 8, lookup)}
    power_w = 3.3 * 25e-3
    # picojoules; the constants are given to three digits
    assert terms["mac_cell_read"].pj == pytest.approx(10 * power_w * 30e-6 * 1e12, rel=2e-3)
    bus = 5.5  # pJ/bit
    assert terms["write"].pj == pytest.approx(
        3 * (power_w * 750e-6 * 1e12 + bus * PAGE_BITS), rel=2e-3
    )
    assert terms["erase"].pj == pytest.approx(2 * power_w * 3.8e-3 * 1e12, rel=2e-3)
    assert terms["logic_die_path"].pj == pytest.approx(10 * bus * PAGE_BITS)
    assert not lookup.missing


def compiled() -> CompiledStep:
    return compile_small(model(1, 1, 128), (64,), system(), append=False)


def test_a_tile_by_hand() -> None:
    """64 tokens and a query: 64 x 128 products of K, as many of V; 64 scores; 8 units merged."""
    step = compiled()
    (program,) = step.programs
    total: dict[str, int] = {}
    for name, count in count_commands(program.program).items():
        work = command_work(name, step.device, step.tiling.output_columns)
        for field, value in vars(work).items():
            total[field] = total.get(field, 0) + count * value
    assert total["macs"] == 2 * 64 * 128
    assert total["mac_column_bits"] == total["group_to_die_bits"] == 2 * PAGE_BITS
    # e of MAX, EXP and SUM is rounded up to 16 of each unit
    assert total["maximum_elements"] == total["sum_elements"] == 8 * 16
    # the RU: O and l of 8 units; then the accumulator and the newcomer
    assert total["group_macs"] == 8 * (128 + 1) + 2 * (128 + 1)
    assert total["group_exponentials"] == 8 + 2


def test_macs_read_queries_and_probabilities() -> None:
    """Each of 8 units: 64 columns of 32 B of the query for K, 64 probabilities of 2 B for V."""
    step = compiled()
    found = mac_buffer_bytes(step.programs[0].program, step.device, step.tiling)
    assert found == 8 * 64 * 32 + 8 * 64 * 2


def test_every_command_is_known() -> None:
    device = load_device("ssd-pam")
    flash = {"READ", "CACHE", "XFER", "PROG", "ERASE"}
    for template in device.templates.commands:
        name = template.instance(16) if template.over else template.name
        command_work(name, device, 8)
        assert banks_of(name, device) == (1 if name in flash else 0)
    with pytest.raises(KeyError):
        command_work("REFab", device, 8)


def test_a_step_over_three_tiers_has_an_account(tmp_path: Path) -> None:
    """Proofs and energy of a run whose oldest tokens lie in the drives."""
    out = tmp_path / "run"
    argv = ["run", "--model", "llama-3-8b", "--system", "pam-node", "--context", "1500"]
    argv += ["--batch", "2", "--set", "tensor_parallel=8", "--set", "pipeline_parallel=1"]
    argv += ["--set", "tiers.hbm.kv_gib=0.1", "--set", "tiers.ddr.kv_gib=0.1"]
    assert main([*argv, "-q", "-o", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    verdicts = {proof: entry["verdict"] for proof, entry in result["validation"].items()}
    assert verdicts == dict.fromkeys(("functional", "layout", "timing"), "passed")
    terms = {t["name"]: t for t in result["energy_pj"]["terms"] if t["tier"] == "ssd"}
    assert terms["mac_cell_read"]["pj"] > 0
    assert terms["background_rest_of_step"]["pj"] > 0
    assert not any(name.startswith("refresh") for name in terms)
    channels = result["tiers"]["ssd"]["channels"]
    assert channels
    for channel in channels:
        pages = channel["commands"]["XFER"]
        assert channel["bytes_internal"] == channel["bytes_ext_read"] == pages * 16384
