"""What the commands of each device family do: one module a family, found by its name."""

from pim_isa.plugins import folders

__path__.extend(map(str, folders("energy")))
