"""Looking up energy constants, and noting which are missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from pamsim.config.spec import Constant, EnergyTable


@dataclass
class Lookup:
    """Constants of one device; `missing` collects what was asked for and is not there."""

    device: str
    table: EnergyTable
    missing: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> Constant | None:
        """The constant, whether it is named alone or by its dotted path."""
        for constant in self.table.constants:
            if constant.name == name or constant.name.rpartition(".")[2] == name:
                return constant
        return None

    def value(self, *names: str) -> float:
        """Sum of the constants; 0 stands in for a missing one, whose account is then discarded."""
        total = Decimal(0)  # of the decimals as written: 0.1 + 0.2 is 0.3
        for name in names:
            constant = self.find(name)
            if constant is None or isinstance(constant.value, str | bool):
                if (text := f"{self.device}: {name}") not in self.missing:
                    self.missing.append(text)
            else:
                total += Decimal(str(constant.value))
        return float(total)

    def source(self, *names: str) -> str:
        """Where the constants come from, each with its name when there are several."""
        found = [(name, c) for name in names if (c := self.find(name)) is not None]
        if len(names) == 1:
            return found[0][1].source if found else ""
        return "; ".join(f"{name} {c.value} {c.unit}: {c.source}" for name, c in found)
