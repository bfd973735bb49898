"""Traces for the tests of pamsim.traces: drawn by hypothesis, or of a small decode step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from hypothesis import strategies as st

from pamsim.compiler import CompiledStep, compile_step
from pamsim.config import load_system
from pamsim.errors import InputError
from pamsim.model import ModelSpec
from pamsim.traces import Cut, OpenTrace, Trace, TraceCommand, TraceEnd, TraceHeader, open_trace
from pamsim.workload import make_step
from pyramulator.stream import LOG, MAX_LEVELS

LEVELS = ("Channel", "PseudoChannel", "BankGroup", "Bank", "Row", "Column")
SIZES = (1, 2, 4, 4, 64, 32)
PU = {"unit": "PU", "unit_level": "BankGroup"}
RU = {"unit": "RU", "unit_level": "PseudoChannel"}
COMMANDS = (
    TraceCommand("ACT", "row", 3, "Bank", "open", 20, 8),
    TraceCommand("PRE", "row", 1, "Bank", "close", 9, 2),
    TraceCommand("REFab", "row", 1, "PseudoChannel", "all_closed", 300, 300, refresh=True),
    TraceCommand("WR", "column", 2, "Bank", "access", 30, 8),
    TraceCommand("RD", "column", 2, "Bank", "access", 22, 8),
    TraceCommand("MAC", "column", 2, "BankGroup", "access", 40, 8, **PU),
    TraceCommand("EXP", "column", 2, "BankGroup", "none", 90, 90, **PU),
    TraceCommand("RDRES", "column", 2, "PseudoChannel", "none", 22, 4, **RU),
)
HEADER = TraceHeader(
    device="handmade",
    levels=LEVELS,
    commands=COMMANDS,
    ticks_per_second=2_600_000_000,
    sizes=SIZES,
    tier="hbm",
    channel=7,
    layer=1,
    layers=2,
    ticks_per_ck=2,
    column_bytes=32,
    dq_bits=32,
    timing_ck={"nCL": 18, "nBL": 2},
    inputs={"model": "none"},
    sources={"program": "0" * 64},
)


class ListTrace(Trace):
    """A trace of pieces that are there."""

    def __init__(self, header: TraceHeader, *pieces: np.ndarray, ticks: int = 0) -> None:
        super().__init__(header)
        self._given, self._ticks = pieces, ticks

    def _pieces(self, cut: Cut) -> Iterator[tuple[int, np.ndarray]]:
        number = 0
        for piece in self._given:
            yield number, piece
            number += len(piece)
        self.end = TraceEnd(number, self._ticks, True)


def log(records: list[tuple[int, int, int, tuple[int, ...]]]) -> np.ndarray:
    """LOG records of (tick, command, source, numbers of BankGroup.. as far as it names them)."""
    found = np.zeros(len(records), LOG)
    depth = {level: k for k, level in enumerate(LEVELS)}
    for record, (tick, number, source, numbers) in zip(found, records, strict=True):
        command = COMMANDS[number]
        address = [0, *numbers]
        scope = depth[command.scope or ""]
        named = [k <= scope for k in range(4)]
        named += [command.row_use in ("open", "access"), command.row_use == "access"]
        kept = [n if keep else -1 for n, keep in zip(address, named, strict=True)]
        record["tick"], record["command"], record["source"] = tick, number, source
        record["address"] = kept + [0] * (MAX_LEVELS - len(kept))
    return found


@st.composite
def logs(draw: st.DrawFn, most: int = 60) -> np.ndarray:
    """A log in normal form, in order of time."""
    steps = st.one_of(st.integers(0, 9), st.integers(0, 1 << 40))
    numbers = st.tuples(*(st.integers(0, size - 1) for size in SIZES[1:]))
    rows = st.tuples(steps, st.integers(0, len(COMMANDS) - 1), st.integers(-1, 300), numbers)
    drawn = draw(st.lists(rows, max_size=most))
    tick, records = 0, []
    for step, command, source, where in drawn:
        tick += step
        records.append((tick, command, source, where))
    return log(records)


@cache
def step(contexts: str = "700", query_heads: int = 6, head_dim: int = 128) -> CompiledStep:
    """One layer's programs of a small model on one stack."""
    model = ModelSpec(
        name="small", architecture="LlamaForCausalLM", layers=3, hidden=query_heads * head_dim,
        query_heads=query_heads, kv_heads=2, head_dim=head_dim, ffn_hidden=64, ffn_matrices=3,
        vocabulary=100, max_context=1 << 20, dtype="fp16",
    )  # fmt: skip
    return compile_step(
        model, make_step(contexts), load_system("pam-hbm", ["tiers.hbm.devices=1"]), "hbm"
    )


def busy_channel(compiled: CompiledStep) -> int:
    return compiled.programs[0].bindings[0].channel


def written(write: Callable[..., object], trace: Trace, *args: object, **options: object) -> bytes:
    """What a writer of bytes writes."""
    out = io.BytesIO()
    write(out, trace, *args, **options)
    return out.getvalue()


def read(content: bytes, cut: Cut = Cut()) -> tuple[OpenTrace, np.ndarray]:  # noqa: B008
    """A trace's bytes read to the end: the reader, and its records in one array."""
    with open_trace(io.BytesIO(content)) as trace:
        if isinstance(trace, Trace):
            pieces = list(trace.pieces(cut))
            return trace, np.concatenate([np.empty(0, LOG), *pieces])
        requests = list(trace.pieces())
        return trace, np.concatenate(requests) if requests else np.empty(0)


@st.composite
def damage(draw: st.DrawFn, content: bytes, other: bytes) -> bytes:
    """Bytes flipped, cut off, cut out, doubled or taken from another file."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        to = min(len(data), at + draw(st.integers(1, 400)))
        kind = draw(st.sampled_from(["flip", "cut", "out", "double", "splice", "numbers"]))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "out":
            del data[at:to]
        elif kind == "double":
            data[to:to] = data[at:to]
        elif kind == "splice":
            data[at:to] = other[at:to]
        elif kind == "numbers":
            data[at : at + 8] = draw(
                st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f"])
            )
    return bytes(data)


def read_or_fault(content: bytes) -> np.ndarray | InputError:
    """The records, or the InputError; any other exception is the reader's fault."""
    try:
        return read(content)[1]
    except InputError as error:
        return error
