"""How a model is compiled for a device: one module a family, found by the family's name."""
