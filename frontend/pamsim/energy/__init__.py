"""Energy of a decode step: terms of constant x count, each with its source."""

from pamsim.energy.account import account
from pamsim.energy.activity import StepActivity, TierActivity
from pamsim.energy.commands import banks_of, command_work, energy_family
from pamsim.energy.term import EnergyAccount, EnergyTerm

__all__ = [
    "EnergyAccount",
    "EnergyTerm",
    "StepActivity",
    "TierActivity",
    "account",
    "banks_of",
    "command_work",
    "energy_family",
]
