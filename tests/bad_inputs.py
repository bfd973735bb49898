"""Bad inputs of the command line: the files, the arguments, and what has to be said.

`says` is one whole line on stderr without its `pamsim: `, or a usage error's without its `Error: `;
`...` in it is any text. Nothing else than these files may be left behind.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Files = dict[str, str | bytes]

RUN = "run --model model.json --context 64 --validate off -q -o out"
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
    """One bad input. `code` is the exit code; files beside model.json, which is always there."""

    says: str
    argv: str
    code: int = 5
    files: Files = field(default_factory=dict)


def model_text(**changes: Any) -> str:
    """MODEL with fields changed, one a line from line 2; a field that is set to ... is left out."""
    fields = {k: v for k, v in {**MODEL, **changes}.items() if v is not ...}
    return json.dumps(fields, indent=1)


def write(files: Files) -> None:
    """Writes model.json and the files into the working directory."""
    for name, text in {"model.json": model_text(), **files}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


def fields(says: str, **changes: Any) -> Bad:
    """A run of MODEL with fields changed."""
    return Bad(says, RUN, 5, {"model.json": model_text(**changes)})


def content(says: str, text: str | bytes) -> Bad:
    """A run of a model.json that holds `text`."""
    return Bad(says, RUN, 5, {"model.json": text})


def option(says: str, more: str, code: int = 5) -> Bad:
    """A run of MODEL with more options."""
    return Bad(says, f"{RUN} {more}", code)


def override(says: str, *pairs: str) -> Bad:
    """A run of MODEL on pam-hbm with --set PAIR."""
    return Bad(says, " ".join([RUN, *(f"--set '{pair}'" for pair in pairs)]))


def system(says: str, lines: str | bytes) -> Bad:
    """A run on system.yaml: pam-hbm with lines of its own from line 3, or bytes alone."""
    text = lines if isinstance(lines, bytes) else f"name: mine\nextends: pam-hbm\n{lines}"
    return Bad(says, f"{RUN} --system ./system.yaml", 5, {"system.yaml": text})


def device(says: str, lines: str) -> Bad:
    """A check of device.yaml: hbm3-pam with lines of its own, from line 3."""
    files: Files = {"device.yaml": f"name: mine\nextends: hbm3-pam\n{lines}"}
    return Bad(says, "config check ./device.yaml --kind device", 5, files)


def timing(says: str, parameter: str, value: str) -> Bad:
    """A check of device.yaml: hbm3-pam with one timing parameter changed, in line 4."""
    return device(says, f"timing:\n  {parameter}: {{value: {value}, {TRIAL}}}\n")
