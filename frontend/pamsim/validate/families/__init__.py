"""The functional proof of each device family: one module a family, found by its name."""
