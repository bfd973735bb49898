"""`transposed-value`: CENT's mapping for GDDR6-AiM, a whole (request, KV head) in one channel.

K: token t lies in bank t mod 16 as slot t div 16; a row holds as many whole vectors as fit. V lies
transposed: element d of every token in bank d mod 16, in row d div 16 of a block of 1,024 tokens,
which lie side by side along the row.
Source: Yufeng98/CENT @8c79786 cent_simulation/TransformerBlock.py, score and output products.
"""

from __future__ import annotations

from dataclasses import dataclass

from pamsim.config.spec import Organisation
from pamsim.errors import InputError
from pamsim.model.spec import ModelSpec

TRANSPOSED_VALUE = "transposed-value"
BANKS = 16  # of a channel; as many tokens of K, elements of V, side by side
LANES = 16  # BF16 elements of a column


@dataclass(frozen=True)
class AimShape:
    """How vectors and rows are divided: a HeadShape. vector_columns: of a K vector, padded."""

    vector_columns: int
    columns: int  # of a row

    @property
    def row_slots(self) -> int:
        """K vectors in a bank's row."""
        return self.columns // self.vector_columns

    @property
    def slot_columns(self) -> int:
        return self.vector_columns

    @property
    def block_tokens(self) -> int:
        """Tokens of V in a row."""
        return self.columns * LANES

    @property
    def block_rows(self) -> int:
        """Rows of a block of V: one for each 16 elements of a vector."""
        return self.vector_columns

    def slots(self, tokens: int) -> int:
        return -(-tokens // BANKS)

    def key_rows(self, tokens: int) -> int:
        return -(-self.slots(tokens) // self.row_slots)

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_tokens)

    def rows(self, tokens: int) -> int:
        return self.key_rows(tokens) + self.block_rows * self.blocks(tokens)


def aim_shape(model: ModelSpec, organisation: Organisation) -> AimShape:
    """Raises InputError when a vector does not fit a row."""
    columns = organisation.columns
    vector = -(-model.head_dim // LANES)
    if vector > columns:
        raise InputError(
            f"head_dim of {model.name} must be at most {columns * LANES}, a row of a bank, "
            f"not {model.head_dim}"
        )
    return AimShape(vector, columns)
