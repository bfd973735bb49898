"""Bad inputs of the command line: files, arguments, and what has to be said; made for a table.

A message is a regular expression for one whole line on stderr, without its `pamsim: `; {x} stands
for nothing here: braces are as written. A usage error ends in a line that begins with `Error: `.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

RUN = "run --model model.json --context 64"
ON_SYSTEM = f"{RUN} --system ./system.yaml"
ON_DEVICE = "config check ./device.yaml --kind device"

MODEL: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "float16",
}
TRIAL = "source: 'derived: a trial'"


@dataclass(frozen=True)
class Bad:
    """One bad input: the command line, what it says, the exit code, and the files it reads."""

    argv: str
    says: str
    code: int = 5
    files: dict[str, str | bytes] = field(default_factory=dict)


def model(**changes: Any) -> dict[str, str | bytes]:
    """model.json with fields changed; a field that is set to ... is left out. Line 2 is the first
    field's."""
    fields = {k: v for k, v in {**MODEL, **changes}.items() if v is not ...}
    return {"model.json": json.dumps(fields, indent=1)}


def system(lines: str) -> dict[str, str | bytes]:
    """system.yaml: pam-hbm with lines of its own, from line 3."""
    return {"system.yaml": f"name: mine\nextends: pam-hbm\n{lines}"}


def device(lines: str) -> dict[str, str | bytes]:
    """device.yaml: hbm3-pam with lines of its own, from line 3."""
    return {"device.yaml": f"name: mine\nextends: hbm3-pam\n{lines}"}


def timing(parameter: str, value: str) -> dict[str, str | bytes]:
    """device.yaml: hbm3-pam with one timing parameter changed, in line 4."""
    return device(f"timing:\n  {parameter}: {{value: {value}, {TRIAL}}}\n")
