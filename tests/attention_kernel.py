"""Attention on one bank group, written by hand as assembly text."""

from __future__ import annotations

import numpy as np

from pim_isa import Program, assemble, check

BANKS, LANES = 4, 16


class Attention:
    """A hand-written kernel: `tokens` of one KV head on one group, `heads` queries, tiles."""

    def __init__(
        self, tokens: int, heads: int, dim: int, tile_rows: int = 2, held: int = 1, parts: int = 1
    ) -> None:
        self.tokens, self.heads, self.dim = tokens, heads, dim
        self.columns = dim // LANES
        self.per_row = 32 // self.columns
        self.tile, self.held, self.parts = tile_rows * self.per_row, held, parts
        self.k_row, self.v_row = 3, 1000

    def place(self, value: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        token = np.arange(self.tokens)
        slot = token // BANKS
        row = (self.v_row if value else self.k_row) + slot // self.per_row
        return token % BANKS, row, slot % self.per_row * self.columns

    def _visits(self, name: str, first_slot: int, slots: int, flags: str) -> list[str]:
        """Full rows in a loop, then the rest of the tile: whole slots, then the masked tail."""
        lines = []
        row = (self.k_row if name == "MACK" else self.v_row) + first_slot // self.per_row
        valid = min(self.tokens - first_slot * BANKS, slots * BANKS)
        whole, tail = divmod(valid, BANKS)
        rows = whole // self.per_row
        if rows:
            lines += [
                f"LOOP count={rows} row_step=1 base_step={self.per_row}",
                f"ACT row={row}",
                f"{name} row={row} column=0 slots={self.per_row} base=0 mask=15 {flags}",
                "PRE",
                "END",
            ]
        rest = whole - rows * self.per_row
        if rest or tail:
            base = rows * self.per_row
            lines.append(f"ACT row={row + rows}")
            if rest:
                lines.append(
                    f"{name} row={row + rows} column=0 slots={rest} base={base} mask=15 {flags}"
                )
            if tail:
                lines.append(
                    f"{name} row={row + rows} column={rest * self.columns} slots=1 "
                    f"base={base + rest} mask={(1 << tail) - 1} {flags}"
                )
            lines.append("PRE")
        return lines

    def _softmax(self, name: str, first_slot: int, slots: int, first: str) -> list[str]:
        valid = min(self.tokens - first_slot * BANKS, slots * BANKS)
        whole, tail = divmod(valid, BANKS)
        lines = []
        if whole:
            lines.append(f"{name} slots={whole} base=0 mask=15 {first}")
            first = ""
        if tail:
            lines.append(f"{name} slots=1 base={whole} mask={(1 << tail) - 1} {first}")
        return lines

    def text(self) -> str:
        lines = [".family hbm_pim", ".stream pc=0 sid=0 bg=0"]
        slots = -(-self.tokens // BANKS)
        step = self.columns // self.parts
        for start in range(0, self.heads, self.held):
            n = min(self.held, self.heads - start)
            for first_slot in range(0, slots, self.tile):
                tile = min(self.tile, slots - first_slot)
                lines.append(f"CFG queries={n} part={step} vector={self.columns}")
                for part in range(self.parts):
                    for j in range(n):
                        lines.append(
                            f"WRQ slot={j} query={(start + j) * self.parts} offset={part * step}"
                        )
                    flags = f"accumulate={int(part > 0)} last={int(part == self.parts - 1)}"
                    visits = self._visits("MACK", first_slot, tile, flags)
                    lines += _shift(visits, part * step)
                lines += self._softmax("MAX", first_slot, tile, "first=1")
                lines += self._softmax("EXP", first_slot, tile, "")
                lines += self._softmax("SUM", first_slot, tile, "first=1")
                for part in range(self.parts):
                    lines.append("CLRO")
                    lines += _shift(self._visits("MACV", first_slot, tile, ""), part * step)
                    lines.append("REDG")
                    for j in range(n):
                        lines.append(f"REDL slot={j} query={(start + j) * self.parts + part}")
        for query in range(self.heads * self.parts):
            lines.append(f"RDR query={query} normalise=1")
        return "\n".join(lines)

    def program(self) -> Program:
        program = assemble(self.text())
        assert check(program) == ()
        return program


def _shift(lines: list[str], columns: int) -> list[str]:
    """The same visits, `columns` further on in every vector."""
    result = []
    for line in lines:
        words = line.split()
        for k, word in enumerate(words):
            if word.startswith("column="):
                words[k] = f"column={int(word[7:]) + columns}"
        result.append(" ".join(words))
    return result
