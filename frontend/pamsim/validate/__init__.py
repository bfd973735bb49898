"""The proofs: the programs compute attention, every KV element has one place, commands keep timing.

They sit beside the simulator and share no arithmetic with it. The timing proof is in
`pamsim.validate.timing`.
"""

from pamsim.validate.functional import FunctionalVerdict, prove_function
from pamsim.validate.layout import LayoutVerdict, prove_layout

__all__ = ["FunctionalVerdict", "LayoutVerdict", "prove_function", "prove_layout"]
