"""The tick-by-tick reference of docs/engine-rules.md, its test cases and its comparison."""
