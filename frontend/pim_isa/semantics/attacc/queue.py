"""The operations of an AttAcc channel: GEMV units and softmax unit.

Each method is the pseudo-code of the instruction in tables/attacc.toml, over all banks at once. The
order of FP32 additions is the stated one and no other.
"""

from __future__ import annotations

import numpy as np

from pim_isa.arithmetic import exponential, sum_in_order, to_fp16, tree16
from pim_isa.errors import IsaError
from pim_isa.memory import GroupMemory
from pim_isa.semantics.attacc.die import (
    BANKS,
    GROUP_BANKS,
    LANES,
    PARTITIONS,
    Event,
    LogicDie,
    Slot,
    Weighed,
    partitions,
)
from pim_isa.table import InstructionTable

CLOSED = -1
SOFTMAX_BLOCK = 256  # scores
PAGE = 32  # exponentials that face a row of V


class Group:
    """One queue of a channel. Only queue 0 has banks; what both use lies on the die."""

    def __init__(
        self, table: InstructionTable, stream: int, memory: GroupMemory, die: LogicDie
    ) -> None:
        self.stream, self.memory, self.die = stream, memory, die
        self.part = 0
        self.open_row = np.full(BANKS, CLOSED, dtype=np.int64)

    # --- control and rows

    def configure(self, part: int) -> None:
        """CFG."""
        self.part = part

    def open_bank(self, rank: int, bg: int, bank: int, row: int) -> None:
        """OPN."""
        banks = partitions(rank, bg) * GROUP_BANKS + bank
        if (self.open_row[banks] != CLOSED).any():
            raise IsaError(f"bank must be closed before OPN row {row}")
        self.open_row[banks] = row

    def close_bank(self, rank: int, bg: int, bank: int) -> None:
        """CLS."""
        self.open_row[partitions(rank, bg) * GROUP_BANKS + bank] = CLOSED

    def append(
        self, half: int, rank: int, bg: int, bank: int, row: int, column: int, columns: int,
        offset: int, source: int,
    ) -> None:  # fmt: skip
        """APP."""
        number = int(partitions(rank, bg)[half]) * GROUP_BANKS + bank
        if self.open_row[number] != row:
            raise IsaError(f"APP must find row {row} open")
        vector = self.die.appends.get(source)
        if vector is None:
            if self.die.wanted is not None:
                return
            raise IsaError(f"append buffer must hold source {source}")
        part = vector[offset * LANES : (offset + columns) * LANES]
        if len(part) != columns * LANES:
            raise IsaError(
                f"source {source} must have {offset + columns} columns, not {len(vector) // LANES}"
            )
        self.memory.write(np.array([number]), np.array([row]), np.array([column]), part[None])

    def activate_row(self, row: int) -> None:
        """ACT."""
        if (self.open_row != CLOSED).any():
            raise IsaError(f"banks must be closed before ACT row {row}")
        self.open_row[:] = row

    def precharge(self) -> None:
        """PRE."""
        self.open_row[:] = CLOSED

    def _columns(self, name: str, row: int, column: int, columns: int) -> np.ndarray:
        """float32 [BANKS, columns, LANES] of the open row."""
        if (self.open_row != row).any():
            raise IsaError(f"{name} must find row {row} open in every bank")
        return self.memory.block(np.array([row]), column, columns)[0]

    # --- GEMV units

    def swap(self) -> None:
        """NEW."""
        die = self.die
        die.filling = 1 - die.filling
        register = die.registers[die.filling]
        die.write(register.use, self.stream)
        register.values = np.zeros((BANKS, LANES), np.float32)
        register.row, register.column = np.full((2, LANES), -1, np.int64)
        register.weighed = []

    def dot(self, row: int, column: int, tokens: int, at: int, slot: int) -> None:
        """MACK."""
        die, held, part = self.die, self.die.slots[slot], self.part
        die.read(held.gemv, self.stream)
        register = die.registers[die.filling]
        die.write(register.use, self.stream)
        block = self._columns("MACK", row, column, tokens * part)
        register.row[at : at + tokens] = row
        register.column[at : at + tokens] = column + np.arange(tokens) * part
        if not held.active:
            return
        if len(held.vector) != GROUP_BANKS * part * LANES:
            raise IsaError("MACK must come after the WRG of its slot")
        query = np.tile(held.vector.reshape(GROUP_BANKS, 1, part, LANES), (PARTITIONS, 1, 1, 1))
        products = block.reshape(BANKS, tokens, part, LANES) * query
        sums = tree16(products.reshape(-1)).reshape(BANKS, tokens, part)
        register.values[:, at : at + tokens] = sum_in_order(sums)

    def weigh(self, row: int, column: int, tokens: int, page: int, slot: int, mask: int) -> None:
        """MACV."""
        die, held = self.die, self.die.slots[slot]
        die.read(held.gemv, self.stream)
        register = die.registers[die.filling]
        die.write(register.use, self.stream)
        block = self._columns("MACV", row, column, tokens)
        first = PAGE * page + column
        if die.record:
            register.weighed.append(Weighed(row, column, tokens, first, mask))
        if not held.active:
            return
        weight = held.given[:, first : first + tokens]
        if weight.shape[1] != tokens or np.isnan(weight).any():
            raise IsaError(f"MACV must find exponentials {first} to {first + tokens - 1} (MVG)")
        used = np.flatnonzero([mask >> p & 1 for p in range(PARTITIONS)])
        banks = (used[:, None] * GROUP_BANKS + np.arange(GROUP_BANKS)).ravel()
        weights = np.repeat(weight[used], GROUP_BANKS, axis=0)
        terms = np.empty((tokens + 1, len(banks), LANES), np.float32)
        terms[0] = register.values[banks]
        np.multiply(block[banks].transpose(1, 0, 2), weights.T[:, :, None], out=terms[1:])
        register.values[banks] = np.add.reduce(terms, axis=0)

    # --- data movement

    def write_query(self, slot: int, query: int) -> None:
        """WRG."""
        die, held = self.die, self.die.slots[slot]
        die.write(held.gemv, self.stream)
        held.query = query
        held.active = die.wanted is None or query in die.wanted
        held.score = np.empty((PARTITIONS, 0), np.float32)
        held.row = held.column = held.moved = np.empty((PARTITIONS, 0), np.int64)
        held.outputs = []
        held.given = np.empty((PARTITIONS, 0), np.float32)
        if not held.active:
            return
        vector = die.queries.get(query)
        width = GROUP_BANKS * self.part * LANES
        if vector is None or len(vector) != width:
            raise IsaError(f"query buffer must hold query {query} of {width} elements")
        held.vector = vector

    def move_scores(self, rank: int, bg: int, slot: int, block: int) -> None:
        """MVS."""
        die, held = self.die, self.die.slots[slot]
        register = die.registers[1 - die.filling]
        die.read(register.use, self.stream)
        own, place = partitions(rank, bg), slice(LANES * block, LANES * (block + 1))
        held.hold(LANES * (block + 1))
        held.row[own, place], held.column[own, place] = register.row, register.column
        held.moved[own, place] += 1
        if not held.active:
            return
        banks = own[:, None] * GROUP_BANKS + np.arange(GROUP_BANKS)
        total = np.add.accumulate(register.values[banks], axis=1, dtype=np.float32)[:, -1]
        stored, count = to_fp16(total, die.arithmetic.saturate)
        die.saturations.scores += count
        stored[:, register.row < 0] = np.nan  # no MAC has made these
        held.score[own, place] = stored

    def softmax(self, slot: int, tokens: int, blocks: int) -> None:
        """SFM."""
        held = self.die.slots[slot]
        held.tokens, held.output = tokens, np.zeros(0, np.float32)
        local = -(-tokens // PARTITIONS)
        if held.score.shape[1] < local or (held.moved[:, :local] == 0).any():
            raise IsaError(f"SFM must find the scores of {tokens} tokens (MVS)")
        held.weight = np.zeros((PARTITIONS, held.score.shape[1]), np.float32)
        held.output = np.zeros(GROUP_BANKS * self.part * LANES, np.float32)
        if not held.active:
            return
        score = held.score[:, :local].T.reshape(-1)[:tokens]
        if np.isnan(score).any():
            raise IsaError(
                "SFM must work on numbers: a score was never made, or used memory never written"
            )
        held.scores = score.copy()
        wide = score.astype(np.float64)
        value = exponential(wide - wide.max(), "fp32")
        padded = np.zeros(blocks * SOFTMAX_BLOCK, np.float32)
        padded[:tokens] = value
        total = sum_in_order(_tree(padded.reshape(blocks, SOFTMAX_BLOCK)))
        weight, _ = to_fp16(value / total, True)
        flat = np.zeros(local * PARTITIONS, np.float32)
        flat[:tokens] = weight
        held.weight[:, :local] = flat.reshape(local, PARTITIONS).T

    def move_exponentials(self, rank: int, bg: int, slot: int, piece: int) -> None:
        """MVG."""
        die, held = self.die, self.die.slots[slot]
        die.write(held.gemv, self.stream)
        own, place = partitions(rank, bg), slice(LANES * piece, LANES * (piece + 1))
        if held.weight.shape[1] < place.stop:
            raise IsaError(f"MVG must find exponentials {place.start} to {place.stop - 1} (SFM)")
        if held.given.shape[1] < held.weight.shape[1]:
            held.given = np.full(held.weight.shape, np.nan, np.float32)
        held.given[own, place] = held.weight[own, place]

    def move_outputs(self, rank: int, bank: int, slot: int, chunk: int) -> None:
        """MVO."""
        die, held = self.die, self.die.slots[slot]
        register = die.registers[1 - die.filling]
        die.read(register.use, self.stream)
        if die.record:
            held.outputs.append((rank, bank, chunk, tuple(register.weighed)))
        if not held.active:
            return
        banks = partitions(rank, range(GROUP_BANKS)) * GROUP_BANKS + bank
        values = register.values[banks]
        if np.isnan(values).any():
            raise IsaError("MVO must move numbers: V was read where memory was never written")
        total = np.add.accumulate(values, axis=1, dtype=np.float32)[:, -1]
        stored, count = to_fp16(total, die.arithmetic.saturate)
        die.saturations.group_outputs += count
        start = LANES * (self.part * bank + chunk)
        for half in stored:
            held.output[start : start + LANES] += half

    def give_result(self, slot: int, query: int) -> None:
        """OUT."""
        die, held = self.die, self.die.slots[slot]
        if held.query != query:
            raise IsaError(f"slot {slot} must hold query {query}, not {held.query}")
        if not held.active:
            return
        rounded, count = to_fp16(held.output, die.arithmetic.saturate)
        die.saturations.results += count
        die.results[query] = rounded.astype(np.float16)
        if die.record:
            die.events.append(_event(query, held))


def _tree(values: np.ndarray) -> np.ndarray:
    """FP32 sums of the last axis, a power of two long, by a tree of neighbours."""
    while values.shape[-1] > 1:
        values = values[..., 0::2] + values[..., 1::2]
    return values[..., 0]


def _event(query: int, held: Slot) -> Event:
    return Event(
        query, held.tokens, held.row, held.column, held.moved, tuple(held.outputs), held.scores
    )
