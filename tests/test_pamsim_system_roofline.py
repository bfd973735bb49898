"""Host work of experts, latent attention and uneven layers, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path

import model_configs as c
import pytest

from pamsim.model import ExpertSpec, load_model
from pamsim.model.weights import model_weight_bytes
from pamsim.system.roofline import (
    HostWork,
    distinct_experts,
    head_work,
    layer_work,
    output_work,
    qkv_work,
)


def test_every_weight_is_read_once_when_every_expert_is_taken() -> None:
    # At this batch every expert is expected to be taken but for less than one weight's byte.
    for name in ("mixtral-8x7b", "deepseek-v2", "falcon-7b", "gpt2-xl", "opt-13b"):
        model = load_model(name)
        read = sum(layer_work(model, i, 4096).weight_bytes for i in range(model.layers))
        read += head_work(model, 1).weight_bytes
        table = 0 if model.tied_embeddings else 2 * model.vocabulary * model.hidden
        assert read == model_weight_bytes(model) - table


def test_distinct_experts_are_expected_over_all_routings() -> None:
    # Every choice of 2 of 4 experts by each of 3 tokens, all as likely.
    experts = ExpertSpec(4, 2, 1)
    routings = list(product(combinations(range(4), 2), repeat=3))
    taken = sum(len({e for token in routing for e in token}) for routing in routings)
    assert distinct_experts(experts, 3) == Fraction(taken, len(routings))
    assert distinct_experts(experts, 1) == 2
    assert distinct_experts(ExpertSpec(4, 4, 1), 5) == 4


def test_one_token_reads_its_experts_and_the_router() -> None:
    model = load_model("mixtral-8x7b")
    expert = 3 * 4096 * 14336
    work = output_work(model, 1)
    assert work.weight_bytes == 2 * (4096 * 4096 + 4096 * 8 + 2 * expert)
    assert work.flops == work.weight_bytes  # two operations and two bytes a weight
    # two tokens of 8 experts: 8 x (1 - (6/8)^2) = 3.5 experts, four times an expert's operations
    two = output_work(model, 2)
    assert two.weight_bytes == 2 * (4096 * 4096 + 4096 * 8) + 7 * expert
    assert two.flops == 2 * 2 * (4096 * 4096 + 4096 * 8) + 2 * 4 * expert


def test_shared_experts_take_every_token_and_first_layers_are_dense(tmp_path: Path) -> None:
    model = c.load(tmp_path, c.DEEPSEEK_V2_LITE)
    absorbed = 16 * 512 * 128 + 16 * 128 * 2048  # W_UV, output projection
    dense = output_work(model, 1, 0)
    assert dense.weight_bytes == 2 * (absorbed + 3 * 2048 * 10944)
    sparse = output_work(model, 1, 1)
    experts = (6 + 2) * 3 * 2048 * 1408
    assert sparse.weight_bytes == 2 * (absorbed + 2048 * 64 + experts)
    assert sparse == output_work(model, 1, 26)
    assert layer_work(model, 0, 1) == qkv_work(model, 1) + dense


def test_latent_attention_projects_down_up_and_into_the_latent_space() -> None:
    model = load_model("deepseek-v2")
    # q down and up, kv down, W_UK of every head (DeepSeek-V2, arXiv 2405.04434, section 2.1)
    down, up = 5120 * 1536, 1536 * 128 * 192
    latent, w_uk = 5120 * 576, 128 * 128 * 512
    work = qkv_work(model, 3)
    assert work.weight_bytes == 2 * (down + up + latent + w_uk)
    assert work.flops == 2 * 3 * (down + up + latent + w_uk)
    vectors = 5120 + 1536 + 1536 + 128 * 192 + 5120 + 576 + 128 * (128 + 512)
    assert work.activation_bytes == 3 * 2 * vectors


def test_eight_bit_weights_are_half_the_bytes_and_the_same_operations() -> None:
    model = load_model("deepseek-v3")
    wide = replace(model, weight_bits=16)
    for layer in (0, 60):
        narrow, full = layer_work(model, layer, 8), layer_work(wide, layer, 8)
        assert narrow.flops == full.flops
        assert narrow.weight_bytes == pytest.approx(full.weight_bytes / 2, abs=1)
        assert narrow.activation_bytes == full.activation_bytes
    assert head_work(model, 8) == head_work(wide, 8)


def test_narrow_embeddings_are_projected(tmp_path: Path) -> None:
    model = c.load(tmp_path, c.OPT_350M)
    assert head_work(model, 1).weight_bytes == 2 * (1024 * 512 + 512 * 50272)


def test_work_of_several_instances_is_a_multiple() -> None:
    assert HostWork(1, 2, 3) * 4 == HostWork(4, 8, 12)
