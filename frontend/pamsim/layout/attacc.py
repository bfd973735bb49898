"""`head-parallel`: AttAcc's mapping, a whole (request, KV head) in one channel.

A channel's banks form 16 partitions of 4 (docs/attacc-commands.md). Token t is local token t div 16
of partition t mod 16, and each of its four banks holds a quarter of the vector, padded to whole
columns. K lies token after token, `part` columns each; a row holds a power of two of tokens. V lies
by the columns of a quarter: all tokens' first columns, then in further rows all their second ones.
Source: scale-snu/attacc_simulator @c600051, pim_ramulator_src/trace_gen/gen_trace_attacc_bank.py,
which leaves open which tokens a partition holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from pamsim.config.spec import Organisation
from pamsim.errors import InputError
from pamsim.model.spec import ModelSpec

HEAD_PARALLEL = "head-parallel"
PARTITIONS = 16
GROUP_BANKS = 4
LANES = 16  # FP16 elements of a bank's column


@dataclass(frozen=True)
class AttAccShape:
    """How vectors and rows are divided: a HeadShape. part: columns of a vector in a bank."""

    part: int
    columns: int  # of a row

    @property
    def row_slots(self) -> int:
        """K tokens of a partition in a row."""
        return 1 << ((self.columns // self.part).bit_length() - 1)

    @property
    def slot_columns(self) -> int:
        return self.part

    @property
    def vector_columns(self) -> int:
        """Columns of a vector over its four banks, padding included."""
        return GROUP_BANKS * self.part

    def key_rows(self, tokens: int) -> int:
        return -(-_local(tokens) // self.row_slots)

    def chunk_rows(self, tokens: int) -> int:
        """Rows of one of the `part` columns of V."""
        return -(-_local(tokens) // self.columns)

    def rows(self, tokens: int) -> int:
        return self.key_rows(tokens) + self.part * self.chunk_rows(tokens)


def attacc_shape(model: ModelSpec, organisation: Organisation) -> AttAccShape:
    """Raises InputError when a quarter of a vector does not fit a row."""
    columns = organisation.columns
    part = -(-model.head_dim // (GROUP_BANKS * LANES))
    if part > columns:
        raise InputError(
            f"head_dim of {model.name} must be at most {columns * GROUP_BANKS * LANES}, "
            f"a row of four banks, not {model.head_dim}"
        )
    return AttAccShape(part, columns)


def _local(tokens: int) -> int:
    """Tokens of the fullest partition."""
    return -(-tokens // PARTITIONS)
