"""Shards of instances, shares of tiers, classes of layers: against what follows by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamsim.config import load_system
from pamsim.config.spec import SystemSpec, TierSpec
from pamsim.errors import CapacityError, InputError
from pamsim.model import load_model
from pamsim.placement import (
    TierAssignment,
    label_cache_bytes,
    make_shards,
    room_bytes,
    tier_shares,
)
from pamsim.placement.split import BLOCK_TOKENS, fill_tokens, newest_first
from pamsim.workload.layers import layer_classes
from pamsim.workload.step import DecodeStep

LLAMA = load_model("llama-3-8b")  # 32 layers, 32 query heads, 8 KV heads, FFN 14336
PAM_HBM = load_system("pam-hbm")
GIB = 1 << 30


def machine(
    instances: int = 1, tensor: int = 1, stages: int = 1, tiers: tuple[TierSpec, ...] = ()
) -> SystemSpec:
    return replace(
        PAM_HBM,
        instances=instances,
        tensor_parallel=tensor,
        pipeline_parallel=stages,
        tiers=tiers or PAM_HBM.tiers,
    )


def three_tiers(*kv_gib: float | None) -> tuple[TierSpec, ...]:
    """Tiers of 80 GiB each that take so much KV cache (None: 80 GiB less the weights)."""
    (tier,) = PAM_HBM.tiers
    names = ("hbm", "ddr", "ssd")
    return tuple(
        replace(tier, name=n, kv_bytes=None if g is None else int(g * GIB))
        for n, g in zip(names, kv_gib, strict=True)
    )


class TestLayers:
    def test_layers_with_a_window_are_a_class_of_their_own(self) -> None:
        # Gemma 2 (arXiv 2408.00118, section 2): every second layer attends to 4096 tokens.
        model = load_model("gemma-2-9b")
        classes = layer_classes(model, DecodeStep((8192, 100)))
        assert sorted(c.step.contexts for c in classes) == [(4096, 100), (8192, 100)]
        assert sorted(n for c in classes for n in c.layers) == list(range(model.layers))
        windowed = next(c for c in classes if c.step.contexts[0] == 4096)
        assert all(model.window_of(n) == 4096 for n in windowed.layers)

    def test_a_context_within_every_window_makes_one_class(self) -> None:
        classes = layer_classes(load_model("gemma-2-9b"), DecodeStep((4096,)))
        assert len(classes) == 1


class TestShards:
    def test_one_instance_is_the_whole_step(self) -> None:
        (shard,) = make_shards(LLAMA, DecodeStep((100, 200)), machine())
        assert shard.model == LLAMA
        assert (shard.copies, shard.requests) == (1, (0, 1))

    def test_tensor_parallel_divides_heads_and_widths(self) -> None:
        (shard,) = make_shards(LLAMA, DecodeStep((100,)), machine(4, tensor=4))
        assert (shard.model.query_heads, shard.model.kv_heads) == (8, 2)
        assert shard.model.ffn_hidden == 14336 // 4
        assert (shard.copies, shard.model.layers) == (4, 32)
        # four quarters of the attention, FFN and embedding weights are all the weights
        assert 4 * shard.model.weight_bytes == LLAMA.weight_bytes

    def test_more_instances_than_kv_heads_share_them(self) -> None:
        (shard,) = make_shards(LLAMA, DecodeStep((100,)), machine(16, tensor=16))
        assert (shard.model.query_heads, shard.model.kv_heads) == (2, 1)

    def test_stages_have_all_layers_once_and_the_tables_at_the_ends(self) -> None:
        shards = make_shards(LLAMA, DecodeStep((100,)), machine(5, stages=5))
        assert [n for s in shards for n in s.layers] == list(range(32))
        assert [len(s.layers) for s in shards] == [7, 6, 7, 6, 6]
        assert [s.model.vocabulary for s in shards] == [128256, 0, 0, 0, 128256]
        assert sum(s.model.weight_bytes for s in shards) == LLAMA.weight_bytes

    def test_replicas_that_do_the_same_are_one_shard(self) -> None:
        step = DecodeStep((100, 100, 200, 200, 100))
        shards = make_shards(LLAMA, step, machine(4))
        # dealt out in turn: (0, 4), (1), (2), (3)
        assert [(s.requests, s.copies) for s in shards] == [((0, 4), 1), ((1,), 1), ((2,), 2)]
        shards = make_shards(LLAMA, DecodeStep((7,) * 6), machine(6, tensor=2))
        assert [(s.copies, s.step.contexts) for s in shards] == [(6, (7, 7))]

    @pytest.mark.parametrize(
        ("system", "message"),
        [
            (machine(3, tensor=2), "instances of pam-hbm must be a multiple of .* = 2, not 3"),
            (machine(3, tensor=3), "query heads of .* must be a multiple of .* = 3, not 32"),
            (machine(33, stages=33), "pipeline_parallel must be at most the 32 layers"),
        ],
    )
    def test_parallelism_that_does_not_divide_the_model(
        self, system: SystemSpec, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            make_shards(LLAMA, DecodeStep((100,)), system)

    def test_kv_heads_that_do_not_divide(self) -> None:
        model = replace(LLAMA, query_heads=30, kv_heads=10)
        with pytest.raises(InputError, match=r"KV heads of .* or a divisor .* = 6, not 10"):
            make_shards(model, DecodeStep((100,)), machine(6, tensor=6))


class TestSplit:
    def test_a_quarter_a_half_and_the_rest(self) -> None:
        tokens = fill_tokens((8192,) * 64, (2048 * 64, 4096 * 64, 10**9))
        assert tokens == ((2048,) * 64, (4096,) * 64, (2048,) * 64)

    def test_too_little_room(self) -> None:
        with pytest.raises(CapacityError, match=r"must fit the 100 .* not 101: 1 tokens too much"):
            fill_tokens((101,), (60, 40))

    @given(
        st.lists(st.integers(1, 500), min_size=1, max_size=8),
        st.lists(st.integers(0, 2000), min_size=1, max_size=4),
    )
    def test_every_token_has_a_tier_that_has_room(
        self, contexts: list[int], room: list[int]
    ) -> None:
        room[-1] = max(room[-1], sum(contexts) - sum(room[:-1]))
        tokens = fill_tokens(contexts, room)
        assert [sum(t) for t in zip(*tokens, strict=True)] == contexts
        for taken, free in zip(tokens, room, strict=True):
            assert sum(taken) <= free
            assert all(n >= 0 for n in taken)
        # A faster tier is left with less than a block a request before the next one is used.
        for k in range(len(room) - 1):
            if sum(map(sum, tokens[k + 1 :])):
                assert room[k] - sum(tokens[k]) < BLOCK_TOKENS * len(contexts)

    def test_the_newest_tokens_lie_in_the_first_tier(self) -> None:
        found = newest_first(("hbm", "ssd"), ((3, 0), (2, 4)), layers=2)
        assert found.codes[0].tolist() == [[1, 1, 0, 0, 0]] * 2
        assert found.codes[1].tolist() == [[1, 1, 1, 1]] * 2
        assert found.tokens("ssd", 1) == (2, 4)


class TestTiers:
    def test_one_tier_holds_all(self) -> None:
        (shard,) = make_shards(LLAMA, DecodeStep((100, 200)), machine())
        (share,) = tier_shares(shard, machine())
        assert share.step.contexts == (100, 200)
        assert share.divided == (False, False)
        assert share.append == (True, True)

    def test_a_divided_request_is_appended_once(self) -> None:
        # 8192 tokens x 128 KiB (llama-3-8b: 2 x 8 x 128 x 2 B x 32 layers) = 1 GiB of KV cache.
        system = machine(tiers=three_tiers(0.25, 0.5, None))
        (shard,) = make_shards(LLAMA, DecodeStep((8192,)), system)
        shares = tier_shares(shard, system)
        assert [(s.tier, s.step.contexts) for s in shares] == [
            ("hbm", (2048,)), ("ddr", (4096,)), ("ssd", (2048,)),
        ]  # fmt: skip
        assert [s.append for s in shares] == [(True,), (False,), (False,)]
        assert all(s.divided == (True,) for s in shares)

    def test_an_empty_first_tier_leaves_the_append_to_the_next(self) -> None:
        system = machine(tiers=three_tiers(0, None, None))
        (shard,) = make_shards(LLAMA, DecodeStep((8192,)), system)
        (share,) = tier_shares(shard, system)
        assert (share.tier, share.append, share.divided) == ("ddr", (True,), (False,))

    def test_an_assignment_of_one_s_own(self) -> None:
        system = machine(tiers=three_tiers(1, 1, 1))
        (shard,) = make_shards(LLAMA, DecodeStep((4, 3)), system)
        codes = (np.array([[0, 1, 1, 0]] * 32, np.uint8), np.array([[1, 1, 1]] * 32, np.uint8))
        shares = tier_shares(shard, system, TierAssignment(("hbm", "ssd"), codes))
        assert [(s.tier, s.requests, s.step.contexts) for s in shares] == [
            ("hbm", (0,), (2,)), ("ssd", (0, 1), (2, 3)),
        ]  # fmt: skip
        assert [s.divided for s in shares] == [(True,), (True, False)]
        assert [s.append for s in shares] == [(True,), (False, True)]

    def test_a_split_that_does_not_add_up(self) -> None:
        system = machine(tiers=three_tiers(1, 1, 1))
        (shard,) = make_shards(LLAMA, DecodeStep((4,)), system)
        codes = (np.zeros((32, 3), np.uint8),)
        with pytest.raises(InputError, match=r"request 0 .* must add up to its 4, not 3"):
            tier_shares(shard, system, TierAssignment(("hbm",), codes))
        with pytest.raises(InputError, match="tiers of the assignment must be those of pam-hbm"):
            tier_shares(shard, system, TierAssignment(("dram",), codes))

    def test_a_full_machine_says_what_and_by_how_much(self) -> None:
        system = machine(tiers=three_tiers(0.25, 0.25, 0.25))
        (shard,) = make_shards(LLAMA, DecodeStep((8192,)), system)
        with pytest.raises(
            CapacityError, match=r"768.00 MiB .* need 1.00 GiB: 256.00 MiB too much"
        ):
            tier_shares(shard, system)

    def test_a_label_cache_keeps_a_few_bits_of_every_k(self) -> None:
        system = replace(PAM_HBM, label_cache_bits=0.25)
        (shard,) = make_shards(LLAMA, DecodeStep((1000, 24)), system)
        # 128 / 16 channels x 4 bits = 4 B a vector, x 8 KV heads x 32 layers x 1024 tokens
        assert label_cache_bytes(shard, system) == 4 * 8 * 32 * 1024

    def test_room_is_what_weights_and_reserves_leave(self) -> None:
        (tier,) = PAM_HBM.tiers
        assert tier.capacity_bytes == 80 * GIB
        room = room_bytes(tier, PAM_HBM, LLAMA)
        assert room == 80 * GIB - LLAMA.weight_bytes
        kept = replace(tier, reserved_bytes=GIB)
        assert room_bytes(kept, PAM_HBM, LLAMA) == room - GIB
        assert room_bytes(tier, replace(PAM_HBM, fill_limit=0.5), LLAMA) == room // 2
        assert room_bytes(replace(tier, kv_bytes=GIB), machine(8), LLAMA) == GIB // 8
        assert room_bytes(tier, PAM_HBM, LLAMA, labels=GIB) == room - GIB
        with pytest.raises(CapacityError, match=r"weights of .* must fit tier 'hbm' of 80.00 GiB"):
            room_bytes(replace(tier, reserved_bytes=70 * GIB), PAM_HBM, LLAMA)
