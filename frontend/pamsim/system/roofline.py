"""What the host (NPU) does in a decode step, and how long it takes by roofline.

time = max(operations / (peak x compute utilisation), bytes / (bandwidth x memory utilisation)). The
caps default to 0.8 and 0.85: scale-snu/attacc_simulator @c600051 src/config.py; they and the host's
peak are fields of the HostSpec. Weights are read once a step, whatever the batch. Normalisation,
biases, activation functions and the embedding look-up (one row a request) are left out: together
they are below a thousandth of the weights' bytes. A parallel block (attention and feed-forward from
one input) has the same work as one after the other.

Of a mixture of experts, each token takes `per_token` of E experts, and the weights of those that
the batch takes at all are read once. Assumption: routing is uniform and independent, so that
E x (1 - (1 - per_token / E)^batch) distinct experts are expected; routers are trained towards
balance (auxiliary loss; Mixtral, arXiv 2401.04088, section 5, finds no pattern by domain). Range:
`per_token`, if all requests take the same, to min(E, batch x per_token), if none share one.

Latent attention is in the absorbed form: W_UK is applied to the queries, W_UV to the outputs, once
a step and head. Weights of 8 bits are read as such and multiplied at the 16-bit peak.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil

from pamsim.config.spec import HostSpec, SystemSpec, TierSpec
from pamsim.model.parts import ExpertSpec
from pamsim.model.spec import ModelSpec
from pamsim.model.weights import (
    Matrix,
    always_matrices,
    experts_of,
    ffn_matrices,
    head_matrices,
    input_matrices,
    output_matrices,
)
from pamsim.system.clock import rate_to_ps


@dataclass(frozen=True)
class HostWork:
    """Operations (a multiply and an add are two), weight and activation bytes of a host task."""

    flops: int
    weight_bytes: int
    activation_bytes: int

    @property
    def bytes(self) -> int:
        return self.weight_bytes + self.activation_bytes

    def __add__(self, other: HostWork) -> HostWork:
        return HostWork(
            self.flops + other.flops,
            self.weight_bytes + other.weight_bytes,
            self.activation_bytes + other.activation_bytes,
        )

    def __mul__(self, times: int) -> HostWork:
        return HostWork(
            self.flops * times, self.weight_bytes * times, self.activation_bytes * times
        )


def matrix_work(matrix: Matrix, batch: int, model: ModelSpec, bits: int | None = None) -> HostWork:
    """A weight matrix times `batch` vectors, each read and written once.

    bits: of a weight, where it is not the model's `weight_bits`.
    """
    weight_bits = model.weight_bits if bits is None else bits
    return HostWork(
        flops=2 * batch * matrix.weights,
        weight_bytes=-(-matrix.weights * weight_bits // 8),
        activation_bytes=batch * matrix.elements * model.dtype_bytes,
    )


def _sum(matrices: Iterable[Matrix], batch: int, model: ModelSpec) -> HostWork:
    return sum((matrix_work(m, batch, model) for m in matrices), HostWork(0, 0, 0))


def qkv_work(model: ModelSpec, batch: int) -> HostWork:
    """Projection of the hidden state to what one layer's attention takes: queries and new KV."""
    return _sum(input_matrices(model), batch, model)


def projection_work(model: ModelSpec, batch: int) -> HostWork:
    """Output projection of one layer."""
    return _sum(output_matrices(model), batch, model)


def feed_forward_work(model: ModelSpec, batch: int, layer: int = 0) -> HostWork:
    """Feed-forward network of one layer, or its experts."""
    work = _sum(always_matrices(model, layer), batch, model)
    experts = experts_of(model, layer)
    if experts is None:
        return work
    taken = _sum(ffn_matrices(model, experts.ffn_hidden), batch * experts.per_token, model)
    one = _sum(ffn_matrices(model, experts.ffn_hidden), 1, model)
    read = ceil(one.weight_bytes * distinct_experts(experts, batch))
    return work + HostWork(taken.flops, read, taken.activation_bytes)


def output_work(model: ModelSpec, batch: int, layer: int = 0) -> HostWork:
    """Output projection and feed-forward network of one layer."""
    return projection_work(model, batch) + feed_forward_work(model, batch, layer)


def layer_work(model: ModelSpec, layer: int, batch: int) -> HostWork:
    """All host work of one layer."""
    return qkv_work(model, batch) + output_work(model, batch, layer)


@lru_cache(maxsize=256)
def distinct_experts(experts: ExpertSpec, batch: int) -> Fraction:
    """Experts that at least one of `batch` tokens takes, expected under uniform routing."""
    left = Fraction(experts.experts - experts.per_token, experts.experts) ** batch
    return experts.experts * (1 - left)


def head_work(model: ModelSpec, batch: int) -> HostWork:
    """The language-model head: hidden state to logits."""
    bits = 8 * model.dtype_bytes
    works = (matrix_work(m, batch, model, bits) for m in head_matrices(model))
    return sum(works, HostWork(0, 0, 0))


def weight_bandwidth(system: SystemSpec) -> int:
    """Bytes per second at which the host reads weights: of its own memory, else of the weights'
    tier over its link."""
    if system.host.memory_bytes_per_second is not None:
        return system.host.memory_bytes_per_second
    return external_bandwidth(system.tier(system.weights_tier))


def external_bandwidth(tier: TierSpec) -> int:
    """Bytes per second between a tier and the host: the slower of its devices and its link."""
    return min(tier.link.bytes_per_second, tier.devices * tier.device.external_bytes_per_second)


def host_time_ps(work: HostWork, host: HostSpec, bytes_per_second: int) -> int:
    """Picoseconds of a host task, rounded up; the caps are the decimals they are written as."""
    compute = host.flops_per_second * Fraction(str(host.compute_utilisation))
    memory = bytes_per_second * Fraction(str(host.memory_utilisation))
    return max(rate_to_ps(work.flops, compute), rate_to_ps(work.bytes, memory))
