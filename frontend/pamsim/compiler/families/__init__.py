"""How a model is compiled for a device: one module a family, found by the family's name."""

from pim_isa.plugins import folders

__path__.extend(map(str, folders("compiler")))
