"""A decode step from what a user writes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pamsim.errors import InputError, InputErrors, PamsimError, short
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep

MAX_CONTEXT = 1 << 30  # tokens of one request
MAX_BATCH = 1 << 20  # requests


def make_step(contexts: str | int | Sequence[int], batch: int | None = None) -> DecodeStep:
    """The decode step of `--context 8192 --batch 4` or of `--context 512,8192,100`.

    contexts: one number, which every request of the batch has, or one number a request; as text,
    separated by commas (digits may be grouped with _). batch: requests; 1 where it is left out and
    one context is given; with several contexts it must agree or be left out.
    Raises InputErrors with every fault once.
    """
    faults: list[PamsimError] = []
    listed = (isinstance(contexts, str) and "," in contexts) or _is_list(contexts)
    tokens = [_number(part, faults) for part in _parts(contexts)]
    if not tokens:
        faults.append(InputError("context must be at least one number, not an empty list"))
    if len(tokens) > MAX_BATCH:
        faults.append(InputError(f"context must list at most {MAX_BATCH}, not {len(tokens)}"))
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int)):
        faults.append(InputError(f"batch must be an integer, not {batch!r}"))
    elif batch is not None and not 1 <= batch <= MAX_BATCH:
        faults.append(InputError(f"batch must be between 1 and {MAX_BATCH}, not {batch}"))
    elif batch is not None and listed and len(tokens) != batch:
        faults.append(
            InputError(
                f"batch must be {len(tokens)}, the number of contexts listed, or left out, "
                f"not {batch}"
            )
        )
    if faults:
        raise InputErrors({str(fault): fault for fault in faults}.values())
    return DecodeStep(tuple(tokens) if listed else tuple(tokens) * (batch or 1))


def context_warning(model: ModelSpec, step: DecodeStep) -> str:
    """A sentence when requests are longer than the model was made for, else ''."""
    over = [c for c in step.contexts if c > model.max_context]
    if not over:
        return ""
    return (
        f"context of {len(over)} of {step.batch} requests is above the {model.max_context} tokens "
        f"(max_position_embeddings) of {model.name}, at most {max(over)}: timing and energy stand, "
        "a real model's output would not"
    )


def _is_list(contexts: object) -> bool:
    return isinstance(contexts, Sequence) and not isinstance(contexts, str)


def _parts(contexts: str | int | Sequence[int]) -> list[object]:
    if isinstance(contexts, str):
        return [part.strip() for part in contexts.split(",")]
    return list(contexts) if isinstance(contexts, Sequence) else [contexts]


def _number(part: object, faults: list[PamsimError]) -> int:
    """The context that a part says; 1 and a fault where it says none."""
    if isinstance(part, str) and re.fullmatch(r"-?[0-9]+(_[0-9]+)*", part) and len(part) <= 40:
        part = int(part)
    if isinstance(part, bool) or not hasattr(part, "__index__"):
        faults.append(InputError(f"context must be a whole number of tokens, not {short(part)}"))
        return 1
    value = part.__index__()
    if not 1 <= value <= MAX_CONTEXT:
        faults.append(InputError(f"context must be between 1 and {MAX_CONTEXT}, not {value}"))
        return 1
    return int(value)
