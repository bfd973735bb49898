"""A channel of GDDR6-AiM: 16 banks with a unit each, the global buffer, and its registers.

Each method is the pseudo-code of the instruction in tables/aim.toml.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pim_isa.arithmetic import Arithmetic, Saturations
from pim_isa.errors import IsaError
from pim_isa.semantics.aim.memory import Banks
from pim_isa.semantics.aim.numbers import accumulate, activation, numbers_of, to_bf16
from pim_isa.table import InstructionTable

THREADS = 2  # MAC and activation registers of a unit


@dataclass
class Controller:
    """The controller's registers (GPRs), 16 BF16 numbers each.

    appends: register -> uint16 BF16 words [16], what the host wrote there before the program; the
    other arguments are not looked at. `results` has what the program wrote, as float32 [16].
    """

    arithmetic: Arithmetic
    queries: dict[int, np.ndarray]
    appends: dict[int, np.ndarray]
    wanted: frozenset[int] | None = None
    record: bool = False
    epochs: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), dtype=np.int64))
    results: dict[int, np.ndarray] = field(default_factory=dict)
    saturations: Saturations = field(default_factory=Saturations)
    events: list[object] = field(default_factory=list)

    def read(self, gpr: int) -> np.ndarray:
        """float32 [16]. Raises IsaError for a register that nobody wrote."""
        if gpr in self.results:
            return self.results[gpr]
        if gpr not in self.appends:
            raise IsaError(f"register {gpr} must be written before it is read")
        return numbers_of(self.appends[gpr])


class Channel:
    """State of one channel.

    Which rows are open is no part of it: the controller opens and closes them for what accesses
    them, and a program that does so earlier changes times, not numbers.
    """

    def __init__(
        self, table: InstructionTable, stream: int, memory: Banks, controller: Controller
    ) -> None:
        self.memory, self.controller = memory, controller
        banks, columns, lanes = memory.shape
        self.group_banks = table.constants["group_banks"]
        self.buffer = np.full((columns, lanes), np.nan, dtype=np.float32)
        self.mac = np.full((THREADS, banks), np.nan, dtype=np.float32)
        self.active = np.full((THREADS, banks), np.nan, dtype=np.float32)
        self.next_bank = self.function = self.register_mode = 0

    # --- control

    def configure(self, next_bank: int, function: int) -> None:
        """CFR."""
        self.next_bank, self.function = next_bank, function

    def switch_mode(self, registers: int) -> None:
        """TMOD."""
        self.register_mode = registers

    def _number(self, bg: int, bank: int) -> int:
        return bg * self.group_banks + bank

    def _row(self, name: str, row: int) -> np.ndarray:
        """The row in all banks, float32 [banks, columns, lanes]."""
        self._in_mode(name, 0)
        return self.memory.row(row)

    def _in_mode(self, name: str, registers: int) -> None:
        if self.register_mode != registers:
            raise IsaError(f"{name} must come after TMOD registers={registers}")

    # --- data

    def write_bank(self, gpr: int, bg: int, bank: int, row: int, column: int, size: int) -> None:
        """WR_SBK."""
        number = self._number(bg, bank)
        held = self._row("WR_SBK", row)
        for i in range(size):
            held[number, column + i] = self.controller.read(gpr + i)

    def read_bank(self, gpr: int, bg: int, bank: int, row: int, column: int, size: int) -> None:
        """RD_SBK."""
        number = self._number(bg, bank)
        held = self._row("RD_SBK", row)
        for i in range(size):
            self.controller.results[gpr + i] = held[number, column + i].copy()

    def write_all(self, gpr: int, row: int, column: int, lane: int) -> None:
        """WR_ABK."""
        self._row("WR_ABK", row)[:, column, lane] = self.controller.read(gpr)

    def write_buffer(self, gpr: int, column: int, size: int) -> None:
        """WR_GB."""
        self._in_mode("WR_GB", 1)
        for i in range(size):
            self.buffer[column + i] = self.controller.read(gpr + i)

    def write_bias(self, bias: int, thread: int) -> None:
        """WR_BIAS."""
        self._in_mode("WR_BIAS", 1)
        self.mac[thread] = self.controller.read(bias)

    def read_mac(self, gpr: int, thread: int) -> None:
        """RD_MAC."""
        self._in_mode("RD_MAC", 1)
        self.controller.results[gpr] = to_bf16(self.mac[thread])

    def read_activation(self, gpr: int, thread: int) -> None:
        """RD_AF."""
        self._in_mode("RD_AF", 1)
        self.controller.results[gpr] = self.active[thread].copy()

    def copy_to_buffer(self, bg: int, bank: int, row: int, column: int, size: int) -> None:
        """COPY_BKGB."""
        number, columns = self._number(bg, bank), slice(column, column + size)
        self.buffer[columns] = self._row("COPY_BKGB", row)[number, columns]

    def copy_from_buffer(self, bg: int, bank: int, row: int, column: int, size: int) -> None:
        """COPY_GBBK."""
        number, columns = self._number(bg, bank), slice(column, column + size)
        self._row("COPY_GBBK", row)[number, columns] = self.buffer[columns]

    # --- arithmetic

    def multiply_bank(
        self, bg: int, bank: int, row: int, column: int, size: int, thread: int
    ) -> None:
        """MAC_SBK."""
        number = self._number(bg, bank)
        if self.next_bank and number % 2:
            raise IsaError(f"bank must be even where the next bank is the operand, not {bank}")
        held = self._row("MAC_SBK", row)
        self._multiply(held, slice(number, number + 1), column, size, thread)

    def multiply_all(self, row: int, column: int, size: int, thread: int) -> None:
        """MAC_ABK."""
        held = self._row("MAC_ABK", row)
        step = 2 if self.next_bank else 1
        self._multiply(held, slice(0, len(held), step), column, size, thread)

    def _multiply(
        self, held: np.ndarray, banks: slice, column: int, size: int, thread: int
    ) -> None:
        columns = slice(column, column + size)
        left = held[banks, columns]
        if self.next_bank:
            other = held[banks.start + 1 : banks.stop + 1 : banks.step or 1, columns]
        else:
            other = np.broadcast_to(self.buffer[columns], left.shape)
        self.mac[thread, banks] = accumulate(self.mac[thread, banks], left, other)

    def activate(self, row: int, thread: int) -> None:
        """AF."""
        self._in_mode("AF", 0)
        self.active[thread] = activation(self.function, self.mac[thread])

    def multiply_elements(self, row: int, column: int, size: int) -> None:
        """EWMUL."""
        held, columns = self._row("EWMUL", row), slice(column, column + size)
        for first in range(0, len(held), self.group_banks):
            held[first + 2, columns] = to_bf16(held[first, columns] * held[first + 1, columns])

    def add_registers(self, gpr: int, other: int, size: int) -> None:
        """EWADD."""
        for i in range(size):
            total = self.controller.read(gpr + i) + self.controller.read(other + i)
            self.controller.results[gpr + i] = to_bf16(total)
