"""What the host (NPU) does in a decode step, and how long it takes by roofline.

time = max(operations / (peak x compute utilisation), bytes / (bandwidth x memory utilisation)). The
caps default to 0.8 and 0.85: scale-snu/attacc_simulator @c600051 src/config.py; they and the host's
peak are fields of the HostSpec. Weights are read once a step, whatever the batch. Normalisation,
activation functions and the embedding look-up (one row a request) are left out: together they are
below a thousandth of the weights' bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pamsim.config.spec import HostSpec, SystemSpec
from pamsim.model.spec import ModelSpec
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


def matrix_work(inputs: int, outputs: int, batch: int, dtype_bytes: int) -> HostWork:
    """A weight matrix [inputs, outputs] times `batch` vectors, each read and written once."""
    return HostWork(
        flops=2 * batch * inputs * outputs,
        weight_bytes=inputs * outputs * dtype_bytes,
        activation_bytes=batch * (inputs + outputs) * dtype_bytes,
    )


def qkv_work(model: ModelSpec, batch: int) -> HostWork:
    """Projection of the hidden state to the queries, keys and values of one layer."""
    outputs = (model.query_heads + 2 * model.kv_heads) * model.head_dim
    return matrix_work(model.hidden, outputs, batch, model.dtype_bytes)


def output_work(model: ModelSpec, batch: int) -> HostWork:
    """Output projection and feed-forward network of one layer."""
    work = matrix_work(model.query_heads * model.head_dim, model.hidden, batch, model.dtype_bytes)
    for _ in range(model.ffn_matrices - 1):
        work += matrix_work(model.hidden, model.ffn_hidden, batch, model.dtype_bytes)
    return work + matrix_work(model.ffn_hidden, model.hidden, batch, model.dtype_bytes)


def head_work(model: ModelSpec, batch: int) -> HostWork:
    """The language-model head: hidden state to logits."""
    return matrix_work(model.hidden, model.vocabulary, batch, model.dtype_bytes)


def weight_bandwidth(system: SystemSpec) -> int:
    """Bytes per second at which the host reads weights: its own memory, else the weights' tier."""
    if system.host.memory_bytes_per_second is not None:
        return system.host.memory_bytes_per_second
    tier = system.tier(system.weights_tier)
    return tier.devices * tier.device.external_bytes_per_second


def host_time_ps(work: HostWork, host: HostSpec, bytes_per_second: int) -> int:
    """Picoseconds of a host task, rounded up; the caps are the decimals they are written as."""
    compute = host.flops_per_second * Fraction(str(host.compute_utilisation))
    memory = bytes_per_second * Fraction(str(host.memory_utilisation))
    return max(rate_to_ps(work.flops, compute), rate_to_ps(work.bytes, memory))
