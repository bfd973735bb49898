"""What instances exchange: sums of their outputs (tensor parallel), hidden states (pipeline)."""

from __future__ import annotations

from fractions import Fraction

from pamsim.config.spec import LinkSpec
from pamsim.model.spec import ModelSpec
from pamsim.system.clock import rate_to_ps


def hidden_bytes(model: ModelSpec, batch: int) -> int:
    """Bytes of the hidden states of a batch."""
    return batch * model.hidden * model.dtype_bytes


def all_reduce_bytes(size: int, instances: int) -> int:
    """Bytes that each of `instances` sends in a ring all-reduce of `size` bytes, rounded up."""
    return -(-2 * (instances - 1) * size // instances)


def all_reduce_ps(size: int, instances: int, link: LinkSpec) -> int:
    """Time of a ring all-reduce: the link's latency once, as it is measured for a whole one
    (scale-snu/attacc_simulator @c600051 src/devices.py), and what an instance sends."""
    sent = rate_to_ps(all_reduce_bytes(size, instances), Fraction(link.bytes_per_second))
    return link.latency_ps + sent


def transfer_ps(size: int, link: LinkSpec) -> int:
    """Time of `size` bytes from one instance to another."""
    return link.latency_ps + rate_to_ps(size, Fraction(link.bytes_per_second))
