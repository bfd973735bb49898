"""Programs, time and energy of packed KV dtypes, soft-capping and latent attention, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade import model, system

from pamsim.compiler import compile_step
from pamsim.compiler.compiled import CompiledStep
from pamsim.config import load_system
from pamsim.config.spec import SystemSpec
from pamsim.energy import command_work
from pamsim.energy.mac_buffers import mac_buffer_bytes
from pamsim.layout import get_layout
from pamsim.model.parts import MlaSpec
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pamsim.report.channels import useful_bytes
from pamsim.report.proofs import prove_timing
from pamsim.sim import count_commands, simulate
from pamsim.system.exchange import exchange, merged_elements
from pamsim.workload.step import DecodeStep

SYSTEM = system()
DEVICE = SYSTEM.tier("hbm").device
TOKENS = 256  # one bank group, 64 slots
DEEPSEEK = MlaSpec(query_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128)


def shaped(dtype: str, dim: int = 128, heads: int = 1, softcap: float | None = None) -> ModelSpec:
    return replace(model(heads, 1, dim), kv_dtype=dtype, softcap=softcap)


def widened() -> SystemSpec:
    return load_system("pam-hbm", ["tiers.hbm.device.pim.extra.packed_lanes=widened"])


def compiled(shape: ModelSpec, tokens: int = TOKENS, machine: SystemSpec = SYSTEM) -> CompiledStep:
    return compile_step(shape, DecodeStep((tokens,)), machine)


def counts(step: CompiledStep) -> dict[str, int]:
    (program,) = step.programs
    return count_commands(program.program)


# --- programs


def test_commands_of_an_int8_pair_by_hand() -> None:
    """128 INT8 elements are 4 columns; 7 vectors and a column of scales fill 29 of a row's 32.

    The query's 256 B leave 64 FP32 scores of the 512 B: T = 63 in whole rows. 64 slots are a tile
    of 9 rows and one of 1.
    """
    step = compiled(shaped("int8"))
    assert (step.tiling.tokens, step.tiling.parts) == (63, 1)
    assert counts(step) == {
        "ACTbg": 2 * (9 + 1),
        "PREbg": 2 * (9 + 1),
        "MACbg_q2": 2 * 64 * 4,  # two PU cycles a column
        "SCbg_q1": 2 * (9 + 1),  # a column a row visit
        "WRQ": 2 * 8,  # the query is FP16
        "MAX_16": 1, "EXP_16": 1, "SUM_16": 1,  # a slot, rounded up
        "MAX_64": 1, "EXP_64": 1, "SUM_64": 1,  # 63 slots
        "REDBG_128": 2,
        "REDLD": 2 * (8 + 1),
        "RDRES": 8,
        "WR": 2 * (4 + 1),  # a vector and its column of scales
        "PREpb": 2,
    }  # fmt: skip


def test_wide_lanes_take_a_column_a_cycle() -> None:
    fixed, wide = (
        counts(compiled(shaped("int4"))),
        counts(compiled(shaped("int4"), machine=widened())),
    )
    # 128 INT4 elements: 2 columns, 15 vectors and a column of scales in a row; T = 60 of 64
    assert fixed["MACbg_q4"] == wide["MACbg_q1"] == 2 * 64 * 2
    assert fixed["SCbg_q1"] == wide["SCbg_q1"] == 2 * (4 + 1)


def test_a_cap_is_a_command_a_maximum() -> None:
    plain, capped = (counts(compiled(shaped("fp16", softcap=c))) for c in (None, 50.0))
    # 4 vectors in a row; the query leaves 128 FP16 scores: one tile of 64 slots
    assert capped == {**plain, "CAP_64": 1}
    (program,) = compiled(shaped("fp16", softcap=50.0)).programs
    (cap,) = {
        i["cap"] for s in program.program.streams for i in s.instructions if i.mnemonic == "CAP"
    }
    assert cap == 0x5240  # 50 = 1.5625 x 2^5: exponent 20, mantissa 0.5625 x 1024 = 0x240


def test_commands_of_a_latent_pair_by_hand() -> None:
    """512 + 64 FP16 elements: a row for a latent vector, an eighth of one for a rope part.

    A query has 1152 B. Four parts of 8 columns (256 B) leave 64 FP32 scores; 16 slots are a tile.
    """
    shape = replace(model(1, 1, 576), mla=DEEPSEEK)
    step = compiled(shape, 64)
    assert (step.tiling.tokens, step.tiling.parts, step.tiling.part_columns) == (64, 4, 8)
    assert counts(step) == {
        "ACTbg": 4 * 16 + 2 + 4 * 16,  # every latent row for each part of K and of V
        "PREbg": 4 * 16 + 2 + 4 * 16,
        "MACbg_q1": 16 * (32 + 4) + 16 * 32,
        "WRQ": 32 + 4,
        "MAX_16": 1, "EXP_16": 1, "SUM_16": 1,
        "REDBG_128": 4,
        "REDLD": 4 * (8 + 1),
        "RDRES": 32,
        "WR": 32 + 4,  # latent vector and rope part, once
        "PREpb": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "dtype", "dim", "slots", "scales"),
    [
        # by hand: the most slots whose vectors and scales fit 32 columns
        ("head-split", "fp16", 128, 4, (None, None)),
        ("head-split", "fp8", 128, 8, (None, None)),
        ("head-split", "int8", 128, 7, (28, 28)),
        ("head-split", "int8", 256, 3, (24, 24)),
        ("head-split", "int8", 80, 10, (30, 30)),  # 80 B take 3 columns
        ("head-split", "int4", 64, 30, (30, 30)),  # 30 scales: 2 columns
        ("head-fused", "int8", 128, 3, (24, 25)),  # of K, of V
        ("naive", "int8", 128, 4, (28, 28)),  # a page has 4 slots
    ],
)
def test_rows_with_scales(
    layout: str, dtype: str, dim: int, slots: int, scales: tuple[int | None, int | None]
) -> None:
    shape, step = shaped(dtype, dim), DecodeStep((300,))
    table = get_layout(layout).place(shape, step, SYSTEM, "hbm")
    for segment in table.segments:
        (key,), (value,) = segment.key, segment.value
        assert key.slots_per_row == value.slots_per_row == slots
        assert (key.scale_column, value.scale_column) == scales


def test_rows_of_latent_attention() -> None:
    """Blocks of 8 latent rows and one of rope parts; in FP8 two vectors a row, 16 slots a block."""
    for dtype, per_row in (("fp16", 1), ("fp8", 2)):
        shape = replace(model(4, 1, 576), mla=DEEPSEEK, kv_dtype=dtype)
        table = get_layout("head-split").place(shape, DecodeStep((999,)), SYSTEM, "hbm")
        segment = table.segments[0]
        (vector, rope), (value,) = segment.key, segment.value
        assert value == vector and segment.regions == (vector, rope)
        assert (vector.slots_per_row, rope.slots_per_row) == (per_row, 8 * per_row)
        assert (vector.block_rows, vector.block_step, rope.block_step) == (8, 9, 9)
        assert rope.first_row == vector.first_row + 8
        assert table.tile_slots == 8 * per_row
        assert (table.key_columns, table.value_columns) == ((36, 32) if per_row == 1 else (18, 16))


# --- time


CASES = {
    **{d: shaped(d, 128, 4) for d in ("fp8", "int8", "int4")},
    "capped": shaped("int8", 80, 3, softcap=30.0),
    "latent": replace(model(6, 1, 576), mla=DEEPSEEK),
    "latent fp8": replace(model(6, 1, 576), mla=DEEPSEEK, kv_dtype="fp8", softcap=20.0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("per_query", [False, True])
def test_commands_keep_the_devices_timing(name: str, per_query: bool) -> None:
    machine = system(buffer_per_query=per_query)
    step = compile_step(CASES[name], DecodeStep((701, 60)), machine)
    for run in simulate(step, log=True):
        verdict = prove_timing(run, step.device)
        assert (verdict.verdict, verdict.violations) == ("passed", 0), verdict.first


def test_narrow_lanes_cost_what_their_cycles_say() -> None:
    """With 4 queries a column of INT4 keeps its PU 16 cycles, or 4 where lanes divide: MACbg alone
    then take four times as long, 2 x 4 x 64 columns of 16 or 4 cycles of 1.5 ns."""
    shape = shaped("int4", 128, 4)
    ticks = {}
    for name, lanes in (("fixed", {}), ("widened", {"packed_lanes": "widened"})):
        machine = system(buffer_per_query=True, extra={**DEVICE.pim.extra, **lanes})
        (run,) = simulate(compiled(shape, machine=machine))
        ticks[name] = run.result.ticks
    # 256 columns; 16 cycles are 63 ticks, 4 are 16 (2600 / 666 a cycle, rounded up)
    assert ticks["fixed"] - ticks["widened"] >= 200 * (63 - 16)


# --- energy and traffic


def test_energy_of_the_new_commands_by_hand() -> None:
    scale = command_work("SCbg_q2", DEVICE, 8)
    assert scale.mac_column_bits == 4 * 32 * 8  # a column in each bank
    assert scale.macs == 2 * 16 * 4  # 16 products a query and bank
    assert scale.buffer_bytes == 2 * 16 * 4 * (4 + 2)  # an FP32 sum in, an FP16 score out
    cap = command_work("CAP_48", DEVICE, 8)
    assert cap.exponential_elements == 2 * 48 * 4
    assert cap.buffer_bytes == 48 * 4 * (2 + 2)
    # a PU's 16 lanes work 4 cycles, on two queries x 32 INT8 or one query x 64 INT4 elements
    assert command_work("MACbg_q4", DEVICE, 8).macs == 4 * 16 * 4


@pytest.mark.parametrize("machine", [SYSTEM, widened()], ids=["fixed", "widened"])
def test_buffers_of_macs_by_hand(machine: SystemSpec) -> None:
    step = compiled(shaped("int8"), machine=machine)
    (program,) = step.programs
    # 256 columns of K face 64 B of a query each, 256 of V a weight of 4 B, in four banks
    assert mac_buffer_bytes(program.program, DEVICE, step.tiling) == 4 * 256 * (64 + 4)
    assert merged_elements(step) == 128


def test_traffic_and_useful_bytes_by_hand() -> None:
    for dtype, vector, scale in (
        ("fp16", 256, 0),
        ("fp8", 128, 0),
        ("int8", 128, 2),
        ("int4", 64, 2),
    ):
        shape, step = shaped(dtype), compiled(shaped(dtype))
        traffic = exchange(step, _share(step), shape, SYSTEM.tier("hbm"))
        # the query goes to the device that holds it; K, V and their columns of scales come along
        assert sum(traffic.query_bytes_by_device) == 256
        assert sum(traffic.append_bytes_by_device) == 2 * (vector + (32 if scale else 0))
        (run,) = simulate(step)
        assert useful_bytes(run, shape) == TOKENS * 2 * (vector + scale)
    shape = replace(model(2, 1, 576), mla=DEEPSEEK)
    step = compiled(shape, 64)
    traffic = exchange(step, _share(step), shape, SYSTEM.tier("hbm"))
    assert sum(traffic.query_bytes_by_device) == 2 * 1152  # absorbed queries
    assert sum(traffic.append_bytes_by_device) == 1152  # once for all heads
    assert sum(traffic.result_bytes_by_device) == 2 * 1024  # before W_UV
    assert useful_bytes(simulate(step)[0], shape) == 64 * 1152


def _share(step: CompiledStep) -> TierShare:
    tokens = sum(s.tokens for s in step.table.segments)
    return TierShare("hbm", (0, 1), DecodeStep((tokens,)), (0,), (False,), (True,))
