"""AttAcc compiled by our own compiler: the golden job, any job, the proofs, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from attacc_cases import (
    DEVICES,
    SIMULATOR_CYCLES,
    SIMULATOR_CYCLES_WITHOUT_POWER_LIMIT,
    SIMULATOR_CYCLES_WITHOUT_REFRESH,
    SIMULATOR_LINES,
    attention,
    compiled,
    one_stack,
    simulated,
)

from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import load_system
from pamsim.energy import banks_of, command_work
from pamsim.errors import CapacityError, InputError
from pamsim.layout.whole_heads import HeadTable
from pamsim.model.parts import MlaSpec
from pamsim.model.spec import ModelSpec
from pamsim.report.proofs import prove_timing
from pamsim.sim import count_commands, simulate
from pamsim.validate import prove_function
from pamsim.validate.families.attacc import value_bound
from pamsim.validate.layout import prove_layout
from pamsim.workload.step import DecodeStep
from pim_isa import Stream, check, encode, load

GOLDEN = attention(), (2048,)

# heads, KV heads, head dimension, contexts: groups of 7, 3 and 1, dimensions of 1, 2 and 4 columns
# a bank and one that fills none, contexts of 1 and of no multiple of 16, 32 or 256
JOBS = (
    (attention(14, 2, 80), (100, 777, 3, 1)),
    (attention(6, 2, 64), (5000, 33)),
    (attention(3, 3, 256), (700, 33, 16)),
    (attention(1, 1, 200), (17,)),
    (attention(40, 40, 128), (600, 40)),
)


def job_id(job: tuple[ModelSpec, tuple[int, ...]]) -> str:
    model, contexts = job
    return f"{model.query_heads}-{model.kv_heads}-{model.head_dim}-{len(contexts)}"


# --- the golden job


def test_the_golden_job_is_within_a_percent_of_the_simulator() -> None:
    step = compiled("attacc-sim", *GOLDEN)
    assert [len(p.bindings) for p in step.programs] == [16]
    assert abs(simulated(step).ticks - SIMULATOR_CYCLES) <= 0.01 * SIMULATOR_CYCLES
    without = simulated(step, refresh=False).ticks
    assert abs(without - SIMULATOR_CYCLES_WITHOUT_REFRESH) <= 0.002 * without


def test_the_golden_job_without_power_limit() -> None:
    step = compiled("attacc-sim", *GOLDEN, "timing.nCCDAB=4")
    simulator = SIMULATOR_CYCLES_WITHOUT_POWER_LIMIT
    assert abs(simulated(step).ticks - simulator) <= 0.01 * simulator


def test_the_golden_job_by_hand() -> None:
    """docs/fidelity-attacc.md, Where the cycles are."""
    step = compiled("attacc-sim", *GOLDEN)
    row_change = 8 + 19 + 19  # nRTPL + nRP + nRCDRD
    first_mac = 30  # 8 WRGB nCCDL = 4 apart, then the barrier
    macs = 4 * 16 * 31 * 6 + 63 * row_change + 10  # 10: between the pairs of heads
    outputs = 8 + 1 + 7 * 2  # the row's precharge, the barrier, 8 MVSO nBL = 2 apart
    assert simulated(step, refresh=False).ticks == first_mac + macs + outputs
    refresh = 8 + 1 + 456 + 19 - 6  # precharge, nPREF, nRFC, nRCDRD, in place of nCCDAB
    assert simulated(step).ticks == first_mac + macs + outputs + 3 * refresh


def test_the_golden_jobs_commands_are_the_simulators() -> None:
    counts = simulated(compiled("attacc-sim", *GOLDEN)).counts
    assert counts["MACAB"] == SIMULATOR_LINES["PIM_MAC_AB"] - 1  # without its dummy
    assert counts["WRGB"] == SIMULATOR_LINES["PIM_WR_GB"]
    assert counts["MVSB"] + counts["MVSO"] == SIMULATOR_LINES["PIM_MV_SB"]
    assert counts["MVGB"] == SIMULATOR_LINES["PIM_MV_GB"]
    assert counts["SFM_8"] == SIMULATOR_LINES["PIM_SFM"]
    assert counts["ACTAB"] == 4 * 16 + counts["REFab"] == 67  # a refresh has a row opened again


def test_the_readings_differ_as_the_page_says() -> None:
    """docs/fidelity-attacc.md, What attacc-sim takes over."""
    ticks = {name: simulated(compiled(name, *GOLDEN)).ticks for name in DEVICES}
    assert ticks == {
        "attacc-sim": 16_299, "attacc-exempt": 17_288, "attacc": 26_249, "attacc-npc": 21_838,
    }  # fmt: skip


def test_softmax_time_shows_where_nothing_hides_it() -> None:
    """One head alone: 16 CK for each 256 scores (16 x 8) between its scores and its outputs."""
    one = attention(1, 1), (2048,)
    none, full = (
        simulated(compiled("attacc-sim", *one, f"pim.extra.softmax_cycles={n}"), refresh=False)
        for n in (0, 16)
    )
    assert full.ticks - none.ticks == 16 * 8 - 2  # MVGB follows SFM by nBL = 2 anyway


# --- any job


@pytest.mark.parametrize("job", JOBS, ids=job_id)
@pytest.mark.parametrize("device", ["attacc", "attacc-sim"])
def test_the_three_proofs(job: tuple[ModelSpec, tuple[int, ...]], device: str) -> None:
    model, contexts = job
    step = compiled(device, model, contexts)
    for program in step.programs:
        assert check(program.program, rows=step.device.organisation.rows) == ()
    layout = prove_layout(step.table, model, DecodeStep(contexts), one_stack(device))
    assert (layout.verdict, layout.first_fault) == ("passed", "")
    assert layout.kv_elements == sum(contexts) * model.kv_heads * 2 * model.head_dim
    function = prove_function(step, model, DecodeStep(contexts), mode="full")
    assert (function.verdict, function.first_fault) == ("passed", "")
    assert function.programs_checked == len(step.programs)
    for run in simulate(step, log=True):
        verdict = prove_timing(run, step.device)
        assert verdict.verdict == "passed", verdict.first


@pytest.mark.parametrize("device", DEVICES)
def test_the_golden_job_keeps_the_timing_of_every_device(device: str) -> None:
    step = compiled(device, *GOLDEN)
    for run in simulate(step, log=True):
        verdict = prove_timing(run, step.device)
        assert verdict.verdict == "passed", verdict.first


@pytest.mark.parametrize("scores", ["huge", "equal", "dominant", "lowest", "overflow"])
def test_hard_scores(scores: str) -> None:
    model, contexts = attention(2, 1, 64), (300,)
    step = compiled("attacc", model, contexts)
    verdict = prove_function(step, model, DecodeStep(contexts), scores=scores)
    assert (verdict.verdict, verdict.first_fault) == ("passed", "")
    assert (verdict.saturated > 0) == (scores == "overflow")


def test_the_bound_is_of_use() -> None:
    # docs/functional-proof.md asks for less than 0.02 max |V| at every context that fits FP16's
    # exponentials; docs/attacc-commands.md says 0.004 at 128K tokens for the small ones
    assert value_bound(2048, 1.0) < 0.002
    assert value_bound(128 * 1024, 1.0) < 0.008


@pytest.mark.parametrize(
    ("model", "contexts"),
    [
        (attention(14, 2, 80), (777,)),
        (attention(3, 3, 256), (700, 33, 16)),
        (attention(5, 5, 64), (513, 40, 40)),
    ],
)
def test_counts_follow_from_the_job(model: ModelSpec, contexts: tuple[int, ...]) -> None:
    """Whatever its loops, a program has the commands that heads, tokens and columns ask for."""
    step = compiled("attacc", model, contexts)
    found: dict[str, int] = {}
    for program in step.programs:
        for name, n in count_commands(program.program).items():
            key = name.partition("_")[0]
            found[key] = found.get(key, 0) + n * len(program.bindings)
    part = -(-model.head_dim // 64)
    local = [-(-c // 16) for c in contexts]
    blocks = sum(-(-n // 16) for n in local)
    queries = model.query_heads
    assert found["MACAB"] == queries * 2 * part * sum(local)
    assert found["WRGB"] == queries * 4 * part * len(contexts)
    assert found["MVSB"] == found["MVGB"] == queries * 8 * blocks
    assert found["MVSO"] == queries * 8 * part * len(contexts)
    assert found["SFM"] == queries * len(contexts)
    assert found["WR"] == model.kv_heads * len(contexts) * 2 * 4 * part


def test_programs_do_not_grow_with_the_context() -> None:
    sizes = [
        sum(
            len(s.instructions)
            for s in compiled("attacc", attention(), (c,)).programs[0].program.streams
        )
        for c in (2048, 65536)
    ]
    assert sizes[0] == sizes[1]


def test_heads_go_to_channels_in_rounds_longest_first() -> None:
    model = attention(4, 4)
    step = compiled("attacc", model, (100,) * 5 + (900,))
    assert isinstance(step.table, HeadTable)
    tokens = np.zeros(16, int)
    for s in step.table.heads:
        tokens[s.channel] += s.tokens
    # 4 heads of 900 alone, 20 of 100 on the 12 other channels
    assert sorted(tokens)[-4:] == [900] * 4 and tokens.sum() == 4 * 1400
    assert max(tokens[tokens < 900]) - min(tokens) <= 100


def test_a_query_head_is_a_head_of_its_own() -> None:
    """Grouped queries run over their KV anew: as many MACs as heads, KV stored once."""
    grouped = compiled("attacc-sim", attention(8, 1), (2048,))
    single = compiled("attacc-sim", attention(1, 1), (2048,))
    macs = [simulated(s).counts["MACAB"] for s in (grouped, single)]
    assert macs[0] == 8 * macs[1]
    rows = [int(s.table.rows_per_layer.max()) for s in (grouped, single)]
    assert rows == [16, 16]


# --- energy


def test_energy_of_commands_by_hand() -> None:
    device = one_stack("attacc").tier("hbm").device
    mac = command_work("MACAB", device, 8)
    assert mac.mac_column_bits == 64 * 32 * 8  # bits, of 64 banks
    assert mac.macs == 64 * 16
    assert command_work("ACTAB", device, 8).bank_activates == 64
    moved = command_work("MVSB", device, 8)
    assert (moved.group_to_die_bits, moved.pu_to_group_bits) == (64 * 8, 4 * 64 * 8)
    assert command_work("SFM_8", device, 8).exponential_elements == 2048
    assert banks_of("MACAB", device) == 64


def test_energy_constants_are_attaccs_per_bit() -> None:
    table = one_stack("attacc").tier("hbm").device.energy
    # scale-snu/attacc_simulator @c600051 src/config.py, pJ/bit
    for name, value in (
        ("cell_read_pj_per_bit", 0.44), ("column_to_bank_group_pj_per_bit", 1.01),
        ("bank_group_to_global_io_pj_per_bit", 1.23), ("tsv_pj_per_bit", 0.5),
        ("interposer_pj_per_bit", 0.3),
    ):  # fmt: skip
        constant = table.get(name)
        assert constant is not None and constant.value == value and constant.unit == "pJ/bit"
    activate = table.get("act_pre_pj")
    assert activate is not None
    assert float(activate.value) / (1024 * 8) == pytest.approx(0.11, abs=0.002)


# --- what is refused


def refused(model: ModelSpec, *overrides: str) -> str:
    with pytest.raises(InputError) as error:
        compiled("attacc", model, (64,), *overrides)
    return error.value.message


def test_what_attacc_cannot_do() -> None:
    latent = MlaSpec(query_rank=None, kv_rank=128, nope_dim=64, rope_dim=32, value_dim=64)
    assert "latent" in refused(attention(4, 1, latent.key_dim, mla=latent))
    assert "soft-capping" in refused(attention(softcap=30.0))
    assert "16 bits, not int8" in refused(attention(kv_dtype="int8"))
    assert "at most 2048" in refused(attention(1, 1, 4096))
    assert "ranks" in refused(attention(), "organisation.ranks=1")


def test_a_layout_of_another_family() -> None:
    system = replace(one_stack("attacc"), layout="head-split")
    with pytest.raises(InputError, match="must be head-parallel, not head-split"):
        compile_step(attention(), DecodeStep((64,)), system)


def test_more_than_fits() -> None:
    with pytest.raises(CapacityError, match="KV cache"):
        compiled("attacc", replace(attention(), layers=96), (1 << 17,))


def test_systems_by_name() -> None:
    for name in ("attacc", "attacc-sim"):
        system = load_system(name)
        assert system.layout == "head-parallel"
        assert system.tier("hbm").device.name == name


# --- the proofs can fail


def proven(step: CompiledStep, model: ModelSpec, contexts: tuple[int, ...]) -> str:
    return prove_layout(step.table, model, DecodeStep(contexts), one_stack("attacc")).first_fault


def test_a_wrong_layout_is_found() -> None:
    model, contexts = attention(20, 20), (64,)
    step = compiled("attacc", model, contexts)
    table = step.table
    assert isinstance(table, HeadTable)
    first, *others = table.heads
    for moved, fault in (
        (replace(first, value_row=first.key_row), "share a place"),
        (replace(first, key_row=first.key_row - 1), "must begin at"),
        (replace(first, tokens=63), "must hold all its tokens"),
        (replace(first, kv_head=others[0].kv_head), "must have 1 place, not 0"),
    ):
        wrong = replace(table, segments=(moved, *others))
        assert fault in proven(replace(step, table=wrong), model, contexts)


@pytest.mark.parametrize(
    ("mnemonic", "change", "fault"),
    [
        ("MACV", {"column": 1, "tokens": 1}, "V "),
        ("MACK", {"tokens": 1}, "a score was never made"),
        ("MACK", {"column": 1, "tokens": 16}, "column of the K of token 0 must be 0, not 1"),
        ("MACV", {"mask": 0x7FFF}, "V must count once"),
        ("SFM", {"tokens": 511}, "softmax must be over 512 tokens, not 511"),
    ],
)
def test_a_wrong_program_is_found(mnemonic: str, change: dict[str, int], fault: str) -> None:
    model, contexts = attention(1, 1, 64), (512,)
    step = compiled("attacc-sim", model, contexts)
    program = step.programs[0].program
    streams = []
    for stream in program.streams:
        code = tuple(
            load("attacc").make(mnemonic, **(dict(i.operands) | change))
            if i.mnemonic == mnemonic else i
            for i in stream.instructions
        )  # fmt: skip
        streams.append(Stream(stream.unit, code))
    binary = encode(replace(program, streams=tuple(streams)))
    wrong = replace(step, programs=(replace(step.programs[0], binary=binary),))
    verdict = prove_function(wrong, model, DecodeStep(contexts))
    assert verdict.verdict == "violated"
    assert fault in verdict.first_fault
