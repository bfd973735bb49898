"""What the commands of each device family do: one module a family, found by its name."""
