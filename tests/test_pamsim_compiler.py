"""The compiler: buffer arithmetic by hand, sound programs for every shape, exact work counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pamsim.compiler import CompiledStep, Tiling, choose_tiling, compile_step
from pamsim.config import DeviceSpec, SystemSpec, load_system
from pamsim.errors import InputError
from pamsim.model import ModelSpec, load_model
from pamsim.sim import count_commands
from pamsim.workload import make_step
from pim_isa import Unit, check, decode
from pim_isa.machine import Machine


@cache
def system(name: str = "pam-hbm", devices: int = 1) -> SystemSpec:
    return load_system(name, [f"tiers.hbm.devices={devices}"])


def small(group: int = 4, head_dim: int = 128, kv_heads: int = 2) -> ModelSpec:
    return replace(
        load_model("llama-3-8b"), layers=2, hidden=64, query_heads=group * kv_heads,
        kv_heads=kv_heads, head_dim=head_dim, ffn_hidden=64, vocabulary=100,
    )  # fmt: skip


def compiled(model: ModelSpec, contexts: object, on: SystemSpec | None = None) -> CompiledStep:
    return compile_step(model, make_step(contexts), on or system())


def up(value: int, by: int) -> int:
    return -(-value // by)


def tiling_of(model: ModelSpec, device: DeviceSpec | None = None) -> Tiling:
    """The tiling with rows that hold vectors of one head: 32 columns of 16 elements."""
    device = device or system().tier("hbm").device
    return choose_tiling(model, device, 32 // up(model.head_dim, 16))


def total(step: CompiledStep) -> Counter[str]:
    """Commands of one layer over all channels."""
    counts: Counter[str] = Counter()
    for program in step.programs:
        for name, n in count_commands(program.program).items():
            counts[name] += n * len(program.bindings)
    return counts


# (head dim, query heads a KV head): (n, T, parts), from n x (2 d + 2 T) <= 512 B, T a multiple of
# the vectors in a row and at least 16; in parts n x (2 d / parts + 4 T) <= 512 B.
@pytest.mark.parametrize(
    ("head_dim", "group", "expected"),
    [
        (128, 1, (1, 128, 1)),  # 256 + 2 x 128 = 512
        (128, 8, (1, 128, 1)),  # n = 2: 2 x 256 leave nothing
        (64, 1, (1, 192, 1)),  # 128 + 2 x 192 = 512
        (64, 2, (2, 64, 1)),  # 2 x (128 + 128)
        (64, 8, (3, 16, 1)),  # 3 x (128 + 2 x 21): 16 in rows of 8; n = 4 leaves 0
        (80, 1, (1, 174, 1)),  # 160 + 2 x 176: 174 in rows of 6
        (80, 4, (2, 48, 1)),  # 2 x (160 + 96) = 512
        (96, 1, (1, 160, 1)),  # 192 + 320
        (96, 4, (2, 30, 1)),  # 2 x (192 + 2 x 32): 30 in rows of 5
        (256, 1, (1, 64, 2)),  # 256 + 4 x 64
        (512, 1, (1, 64, 4)),  # 256 + 4 x 64, in four parts (two parts of 512 B leave nothing)
        (16, 8, (5, 32, 1)),  # n = 8 leaves 16 scores, rows have 32; 5 x (32 + 2 x 35)
        (20, 1, (1, 224, 1)),  # padded to 2 columns: 64 + 2 x 224
    ],
)
def test_tiling_by_hand(head_dim: int, group: int, expected: tuple[int, int, int]) -> None:
    tiling = tiling_of(small(group, head_dim))
    assert (tiling.queries, tiling.tokens, tiling.parts) == expected
    assert tiling.passes == -(-group // tiling.queries)
    assert tiling.part_columns * tiling.parts == up(head_dim, 16)  # FP16 elements of a column


def test_tiling_with_a_buffer_for_every_query() -> None:
    device = system("pam-hbm-gqa").tier("hbm").device  # 512 B x query heads per KV head
    for group in (1, 4, 5, 8):
        tiling = tiling_of(small(group), device)
        assert (tiling.queries, tiling.tokens, tiling.passes) == (group, 128, 1)
    # 16 heads: an instruction names 15 queries, so two passes of 8: 8192 / 8 - 256 = 768 B.
    tiling = tiling_of(small(16), device)
    assert (tiling.queries, tiling.tokens, tiling.passes) == (8, 384, 2)


def test_fp32_scores_take_twice_the_room() -> None:
    device = system().tier("hbm").device
    for changes in ({"score_dtype": "fp32"}, {"probability_dtype": "fp32"}):
        wide = replace(device, pim=replace(device.pim, **changes))
        assert tiling_of(small(1), wide).tokens == 64  # 256 + 4 x 64 = 512


def test_a_buffer_too_small_for_anything() -> None:
    device = system().tier("hbm").device
    tiny = replace(device, pim=replace(device.pim, buffer_bytes=64))
    with pytest.raises(InputError, match="PU buffer must hold one column of a query and 16 scores"):
        tiling_of(small(1), tiny)


def expected_macs(step: CompiledStep, group: int) -> int:
    """Column reads: every slot that holds a token, K and V, once a pass."""
    tiling = step.tiling
    slots = sum(up(s.tokens, 4) for s in step.table.segments)
    return 2 * slots * step.table.key_columns * tiling.passes


@pytest.mark.parametrize("start", range(1, 601, 50))
def test_every_context_compiles_to_a_sound_program(start: int) -> None:
    model = small(group=4, kv_heads=1)
    for context in range(start, start + 50):
        step = compiled(model, str(context))
        for program in step.programs:
            assert check(program.program, rows=step.table.rows) == ()
            assert decode(program.binary) == program.program
        counts = total(step)
        assert counts["MACbg_q1"] == expected_macs(step, 4)
        # The new token: K and V, 8 columns each, once a KV head.
        assert counts["WR"] == 2 * 8 * model.kv_heads
        rows = sum(2 * up(up(s.tokens, 4), 4) for s in step.table.segments)
        assert counts["ACTbg"] == counts["PREbg"] == rows * step.tiling.passes


@pytest.mark.parametrize("contexts", ["1", "2,700,31,64", "512,8192,100", "5000", [300] * 70])
@pytest.mark.parametrize(("head_dim", "group"), [(64, 5), (80, 3), (256, 2), (16, 7)])
@pytest.mark.parametrize("name", ["pam-hbm", "pam-hbm-gqa"])
def test_every_shape_compiles_to_a_sound_program(
    contexts: object, head_dim: int, group: int, name: str
) -> None:
    model = small(group, head_dim)
    step = compiled(model, contexts, system(name))
    tiling = step.tiling
    for program in step.programs:
        assert check(program.program, rows=step.table.rows) == ()
    counts = total(step)
    widths = Counter({tiling.queries: group // tiling.queries})
    if group % tiling.queries:
        widths[group % tiling.queries] += 1
    one_pass = 2 * step.table.key_columns * sum(up(s.tokens, 4) for s in step.table.segments)
    for width, passes in widths.items():
        assert counts[f"MACbg_q{width}"] == one_pass * passes
    tiles = sum(up(up(s.tokens, 4), tiling.tokens) for s in step.table.segments)
    # The logic die gets O and (m, l) of every head from every tile: a part's columns, and one more.
    assert counts["REDLD"] == tiles * group * tiling.parts * (tiling.part_columns + 1)
    assert counts["WRQ"] == tiles * group * step.table.key_columns


def test_llama_3_8b_by_hand() -> None:
    model = load_model("llama-3-8b")
    step = compiled(model, [8192] * 4, system(devices=5))
    # 32 pairs x 16 shares of 512 tokens: 128 tokens a bank, one tile; 4 passes of one query head.
    assert len(step.table.segments) == 512 and step.idle_channels == 0
    assert {s.tokens for s in step.table.segments} == {512}
    counts = total(step)
    assert counts["MACbg_q1"] == 512 * 4 * 2 * 128 * 8
    assert counts["ACTbg"] == 512 * 4 * 2 * 32
    assert counts["EXP_128"] == counts["MAX_128"] == counts["SUM_128"] == 512 * 4
    assert counts["REDBG_128"] == 512 * 4
    assert counts["WR"] == 32 * 16
    assert sum(len(p.bindings) for p in step.programs) == 80


def test_channels_with_the_same_pattern_share_a_program() -> None:
    model = load_model("llama-3-8b")
    step = compiled(model, [4096] * 40, system(devices=5))
    # 320 pairs of 4 shares: every channel holds four whole pairs.
    assert [len(p.bindings) for p in step.programs] == [80]
    assert [b.channel for b in step.programs[0].bindings] == list(range(80))
    pairs = {(q.request, q.query_head) for b in step.programs[0].bindings for q in b.queries}
    assert len(pairs) == 40 * 32
    assert all(q.whole for b in step.programs[0].bindings for q in b.queries)
    binaries = [p.binary for p in compiled(model, [4095, 4096, 17], system(devices=5)).programs]
    assert len(set(binaries)) == len(binaries)


def test_bindings_name_every_query_and_append_once() -> None:
    model = small(group=3, head_dim=256)
    step = compiled(model, "5000,31,600")
    parts = step.tiling.parts
    holds: Counter[tuple[int, int, int]] = Counter()
    appends: Counter[tuple[int, int, bool]] = Counter()
    for program in step.programs:
        for binding in program.bindings:
            assert len(binding.stream_segments) == len(program.program.streams)
            for stream, numbers in zip(
                program.program.streams, binding.stream_segments, strict=True
            ):
                pseudo_channel, sid, bank_group = stream.unit
                group = (pseudo_channel * 2 + sid) * 4 + bank_group
                assert {binding.segments[n].group for n in numbers} == {group}
            local = {(s.request, s.kv_head) for s in binding.segments}
            assert len(binding.queries) == len(local) * 3 * parts
            for q in binding.queries:
                holds[q.request, q.query_head, q.part] += 1
            for a in binding.appends:
                appends[a.request, a.kv_head, a.value] += 1
    assert set(holds) == {(r, h, p) for r in range(3) for h in range(6) for p in range(parts)}
    assert set(appends.values()) == {1} and len(appends) == 3 * 2 * 2


def test_a_long_context_does_not_make_a_long_program() -> None:
    model = small(kv_heads=1)
    lengths = [
        sum(len(s.instructions) for s in compiled(model, str(n)).programs[0].program.streams)
        for n in (1 << 18, 1 << 20, 1 << 22)
    ]
    assert lengths[0] == lengths[1] == lengths[2] < 1000


def test_a_million_tokens_of_a_70b_model_are_few_programs() -> None:
    model = load_model("llama-3-70b")
    machine = load_system("pam-hbm", ["tiers.hbm.devices=40"])
    step = compile_step(model, make_step("8192", 128), machine)
    assert sum(s.tokens for s in step.table.segments) == 8 * 2**20
    assert len(step.programs) <= 16


def test_variants_are_those_of_the_programs() -> None:
    step = compiled(small(group=5, head_dim=64), "700", system())
    names = set(total(step))
    made = {f"MACbg_q{n}" for n in step.variants.of("queries")}
    assert made == {n for n in names if n.startswith("MACbg")} == {"MACbg_q3", "MACbg_q2"}
    for prefix in ("MAX", "EXP", "SUM"):
        own = {n for n in names if n.startswith(prefix)}
        assert own == {f"{prefix}_{e}" for e in step.variants.of("elements")}
    assert all(
        e % 16 == 0 for e in (*step.variants.of("elements"), *step.variants.of("reduced_elements"))
    )
    assert {f"REDBG_{e}" for e in step.variants.of("reduced_elements")} == {
        n for n in names if n.startswith("REDBG")
    }


def attention(step: CompiledStep, model: ModelSpec, contexts: tuple[int, ...]) -> None:
    """Runs every program on numbers, puts the channels together and compares with float64."""
    rng = np.random.default_rng(7)
    d, columns = model.head_dim, step.table.key_columns * 16
    shape = (model.kv_heads, max(contexts), d)
    keys = [rng.normal(size=shape).astype(np.float16) for _ in contexts]
    values = [rng.normal(size=shape).astype(np.float16) for _ in contexts]
    scale = d**-0.5
    queries = [
        (rng.normal(size=(model.query_heads, d)) * scale).astype(np.float16) for _ in contexts
    ]

    def padded(x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, columns - d)])

    part = step.tiling.part_columns * 16
    sums: dict[tuple[int, int, int], list[tuple[float, float, np.ndarray]]] = {}
    final: dict[tuple[int, int, int], np.ndarray] = {}
    for program in step.programs:
        for binding in program.bindings:
            machine = Machine(program.program)
            for s in binding.segments:
                unit = Unit(s.group // 8, s.group // 4 % 2, s.group % 4)
                i = np.arange(s.tokens)
                token = s.blocks[i // 16] * 16 + i % 16
                old = token < contexts[s.request] - 1  # the newest is appended by the program
                slot = i // 4
                for (region,), source in ((s.key, keys), (s.value, values)):
                    machine.memory(unit).write(
                        (i % 4)[old],
                        region.row(slot)[old],
                        region.column_of(slot)[old],
                        padded(source[s.request][s.kv_head, token[old]]),
                    )
            result = machine.run(
                {
                    n: padded(queries[q.request][q.query_head])
                    for n, q in enumerate(binding.queries)
                },
                {
                    n: padded(
                        (values if a.value else keys)[a.request][a.kv_head, contexts[a.request] - 1]
                    )
                    for n, a in enumerate(binding.appends)
                },
            )
            assert set(result.results) == set(range(len(binding.queries)))
            for n, q in enumerate(binding.queries):
                key, got = (q.request, q.query_head, q.part), result.results[n]
                if q.whole:
                    assert key not in final
                    final[key] = np.asarray(got, np.float64)
                else:
                    o, m, el = got.output, float(got.maximum), float(got.total)
                    sums.setdefault(key, []).append((m, el, np.asarray(o, np.float64)))
    for key, parts in sums.items():
        top = max(m for m, _, _ in parts)
        total_l = sum(np.exp(m - top) * el for m, el, _ in parts)
        final[key] = sum(np.exp(m - top) * o for m, _, o in parts) / total_l
    assert len(final) == len(contexts) * model.query_heads * step.tiling.parts
    for (request, head, number), got in final.items():
        kv = head // model.group_size
        n = contexts[request]
        scores = keys[request][kv, :n].astype(float) @ queries[request][head].astype(float)
        p = np.exp(scores - scores.max())
        want = padded((p @ values[request][kv, :n].astype(float) / p.sum())[None])[0]
        want = want[number * part : (number + 1) * part]
        # Architecture section 7: below 0.02 x max|V| for scores as small as these.
        assert np.abs(got[: len(want)] - want).max() < 0.02 * np.abs(values[request]).max()


@pytest.mark.parametrize(
    ("head_dim", "group", "contexts"),
    [
        (128, 4, (1, 2, 3, 4)),
        (128, 4, (15, 16, 17, 130)),
        (128, 2, (511, 513, 2100)),
        (64, 5, (700, 63, 65)),
        (80, 3, (24, 25, 697)),
        (256, 2, (1, 255, 1030)),
        (16, 7, (129, 1025)),
    ],
)
def test_programs_compute_attention(head_dim: int, group: int, contexts: tuple[int, ...]) -> None:
    model = small(group, head_dim)
    attention(compiled(model, contexts), model, contexts)


def test_divided_shares_compute_attention() -> None:
    # 64 rows of 16 tokens, half for K: 512 tokens a group. 264 pairs of 450 tokens on 256 groups:
    # half of the channels hold 17 pairs in 16 groups, one of them in pieces.
    model = replace(small(2, 128, kv_heads=1), layers=1)
    machine = load_system(
        "pam-hbm", ["tiers.hbm.devices=1", "tiers.hbm.device.organisation.rows=64"]
    )
    machine = replace(machine, weights_tier="elsewhere")
    contexts = (450,) * 264
    step = compile_step(model, make_step(contexts), machine)
    pieces = Counter((s.request, s.kv_head) for s in step.table.segments)
    assert max(pieces.values()) > 1
    attention(step, model, contexts)


def test_wrong_tier_and_device() -> None:
    with pytest.raises(InputError, match="tier must be one of pam-hbm, not 'hbn'"):
        compile_step(small(), make_step("1"), system(), "hbn")
    spec = system().tiers[0]
    other = replace(system(), tiers=(replace(spec, device=replace(spec.device, family="x")),))
    with pytest.raises(
        InputError, match="family of hbm3-pam must be one that models are compiled for, not 'x'"
    ):
        compile_step(small(), make_step("1"), other)


def test_more_queries_than_a_program_can_name() -> None:
    # 16 channels with 4096 local numbers each: 256 requests of 16 query heads a channel.
    model = replace(small(group=16, kv_heads=1), layers=1)
    compile_step(model, make_step("1", 16 * 256), system())
    with pytest.raises(InputError, match="of one channel must be at most 4096"):
        compile_step(model, make_step("1", 16 * 256 + 1), system())


def test_a_device_whose_macs_take_all_banks_is_not_compiled_for() -> None:
    machine = load_system("pam-hbm", ("tiers.hbm.device=hbm3-pam-ab",))
    with pytest.raises(InputError, match=r"must work on one bank group .* not on a whole Pseudo"):
        compile_step(small(), make_step("1"), machine)
