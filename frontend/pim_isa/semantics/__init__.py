"""What the instructions of each family do, one module per family, named after it.

A module has `Group`, the state of one unit, and `LogicDie`, what the units of a channel share; both
are made by pim_isa.machine, which knows streams, loops and barriers only.
"""

from pim_isa.plugins import folders

__path__.extend(map(str, folders("semantics")))
