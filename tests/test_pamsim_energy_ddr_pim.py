"""What DDR-PIM commands do and cost, by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from ddr_cases import compile_small, model, system

from pamsim.config import load_device
from pamsim.energy import banks_of, command_work
from pamsim.energy.commands import CommandWork
from pamsim.energy.mac_buffers import mac_buffer_bytes
from pamsim.energy.merges import merges_inside
from pamsim.sim import count_commands, simulate

DDR4 = load_device("ddr4-pam")
PIECE = 8  # columns of 8 B


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("ACT", CommandWork(bank_activates=1)),
        ("ACTbg", CommandWork(bank_activates=4)),
        # 64 B in each of 4 banks; 4 lanes of 32 PUs
        ("MACbg_q1", CommandWork(mac_column_bits=2048, macs=128)),
        ("MACbg_q4", CommandWork(mac_column_bits=2048, macs=512)),
        ("WRQ", CommandWork(die_to_group_bits=512, group_to_pu_bits=2048, buffer_bytes=256)),
        # 16 elements in 32 PUs, FP16
        ("MAX_16", CommandWork(maximum_elements=512, buffer_bytes=1024)),
        ("EXP_16", CommandWork(exponential_elements=512, buffer_bytes=2048)),
        ("SUM_16", CommandWork(sum_elements=512, buffer_bytes=1024)),
        # 32 elements of each of 32 PUs, and a weight and an l of each
        ("REDBG_32", CommandWork(group_macs=1024 + 32, group_exponentials=32,
                                 pu_to_group_bits=16384, buffer_bytes=4096)),
        ("REDCB", CommandWork(group_to_die_bits=512, buffer_bytes=64 + 2 * 128)),
        ("RDSC", CommandWork(group_to_die_bits=512, pu_to_group_bits=512, buffer_bytes=64,
                             sum_elements=16)),
        ("WRSC", CommandWork(die_to_group_bits=512, group_to_pu_bits=512, buffer_bytes=64)),
        ("RDRES", CommandWork(buffer_bytes=64)),
        ("WR", CommandWork(write_bits=512)),
        ("RD", CommandWork(read_bits=512)),
        ("REFab", CommandWork(refreshes=1)),
        ("PREbg", CommandWork()),
    ],
)  # fmt: skip
def test_what_a_command_does(name: str, work: CommandWork) -> None:
    assert command_work(name, DDR4, PIECE) == work


def test_every_command_is_known() -> None:
    for template in DDR4.templates.commands:
        name = template.instance(16) if template.over else template.name
        command_work(name, DDR4, PIECE)
        assert banks_of(name, DDR4) is not None
    assert [banks_of(n, DDR4) for n in ("ACT", "ACTbg", "REFab", "RDRES")] == [1, 4, 8, 0]


def test_energy_constants_from_currents() -> None:
    """DRAMsim3, DDR4_8Gb_x8_3200.ini: 1.2 V, IDD0 57, 2N 37, 3N 52, 4R 168, 5AB 250 mA."""
    table = DDR4.energy

    def value(name: str) -> float:
        found = table.get(name)
        assert found is not None
        return float(found.value)

    chips, volt = 8, 1.2
    ns = {n: DDR4.timing_ck[n] * 0.625 for n in ("nRC", "nRAS", "nRFC", "nBL")}
    row = 57 * ns["nRC"] - 52 * ns["nRAS"] - 37 * (ns["nRC"] - ns["nRAS"])
    assert value("act_pre_pj") == pytest.approx(chips * volt * row)
    read = volt * (168 - 52) * ns["nBL"] / 64
    path = ("cell_read", "column_to_bank_group", "bank_group_to_global_io")
    assert sum(value(f"{p}_pj_per_bit") for p in path) == pytest.approx(read, abs=0.01)
    assert value("background_active_1_bank_mw") == pytest.approx(chips * volt * 52)
    assert value("background_precharged_mw") == pytest.approx(chips * volt * 37)
    refresh = chips * volt * (250 - 52) * ns["nRFC"]
    assert value("refresh_all_bank_pj") == pytest.approx(refresh)


def test_counts_of_a_tile() -> None:
    """512 tokens, one head, d = 128: q.K reads 8 B a PU and MAC, P.V one FP16 probability; the
    (O, m, l) of 8 chips are merged for each of 4 pieces."""
    compiled = compile_small(model(1, 1, 128), (512,), system())
    (program,) = compiled.programs
    macs = 4 * 16 * 8
    assert mac_buffer_bytes(program.program, DDR4, compiled.tiling) == 32 * macs * (8 + 2)
    runs = simulate(compiled)
    assert merges_inside(compiled, runs) == 4 * 8 * compiled.layers
    total: Counter[str] = Counter()
    for name, count in count_commands(program.program).items():
        work = command_work(name, DDR4, compiled.tiling.output_columns)
        total["macs"] += count * work.macs
        total["exponentials"] += count * work.exponential_elements
    assert total == {"macs": 2 * 512 * 128, "exponentials": 512}


def test_striped_o_is_one_merge() -> None:
    compiled = compile_small(model(1, 1, 128), (64,), system("ddr4-pam-striped"))
    assert merges_inside(compiled, simulate(compiled)) == compiled.layers
    assert compiled.tiling.output_elements == 128
    chip = compile_small(model(1, 1, 128), (64,), system())
    assert chip.tiling.output_elements == 32
