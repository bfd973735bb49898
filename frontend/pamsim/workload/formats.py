"""Reading request traces in the formats that are published, recognised by their columns.

azure         CSV: TIMESTAMP, ContextTokens, GeneratedTokens
              (github.com/Azure/AzurePublicDataset @b469a11, AzureLLMInferenceDataset2023.md)
mooncake      JSON lines: timestamp (ms), input_length, output_length, hash_ids
              (github.com/kvcache-ai/Mooncake @3b5a594, FAST25-release)
llmservingsim JSON lines: input_toks, output_toks, arrival_time_ns; or a session of sub_requests
              (github.com/casys-kaist/LLMServingSim @0d3de68, workloads/README.md)
vidur         CSV: num_prefill_tokens, num_decode_tokens
              (github.com/microsoft/vidur, data/processed_traces)
list          one context a line (a line may hold several, separated by commas; # begins a comment)

Lines may end in CRLF, a file may begin with a byte order mark, empty lines are skipped.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pamsim.errors import InputError, Position, did_you_mean
from pamsim.textfile import decoded, read_bytes
from pamsim.workload.make import MAX_CONTEXT
from pamsim.workload.trace import Trace

MAX_BYTES = 1 << 31
MAX_REQUESTS = 10_000_000
# format -> the columns or keys of input and output tokens
CSV_COLUMNS = {
    "azure": ("ContextTokens", "GeneratedTokens"),
    "vidur": ("num_prefill_tokens", "num_decode_tokens"),
}
JSON_KEYS = {
    "mooncake": ("input_length", "output_length"),
    "llmservingsim": ("input_toks", "output_toks"),
}
FORMATS = (*CSV_COLUMNS, *JSON_KEYS, "list")
_SESSION = "sub_requests"

Row = tuple[int, int]  # input and output tokens


def read_trace(path: str | Path, form: str | None = None, name: str | None = None) -> Trace:
    """The requests of a file; `form` is one of FORMATS, None: recognised by its first line.

    name: the file's in messages, its path unless told.

    Raises InputError with file, line and the column's name for what cannot be read.
    """
    path, name = Path(path), name or str(path)
    if form is not None and form not in FORMATS:
        hint = did_you_mean(form, FORMATS)
        raise InputError(f"trace format must be a known one, not {form!r}", None, hint)
    text, sha256 = _text(path, name)
    lines = text.replace("\r\n", "\n").split("\n")
    found = form or recognise(lines, name)
    rows = _READERS[found](lines, name, found)
    table = np.array(list(_bounded(rows, name)), np.int64).reshape(-1, 2)
    decoding = table[:, 1] > 0
    if not decoding.any():
        raise InputError("trace must have requests that decode a token, not none", Position(name))
    kept = table[decoding]
    left_out = int((~decoding).sum())
    return Trace(path.name, found, kept[:, 0].copy(), kept[:, 1].copy(), left_out, sha256)


def recognise(lines: list[str], name: str) -> str:
    """The format of a file by its first line that is not empty. Raises InputError."""
    number, first = next(((n, x) for n, x in enumerate(lines, 1) if x.strip()), (1, ""))
    place = Position(name, number)
    if first.lstrip().startswith("{"):
        request = _object(first, place)
        if _SESSION in request:
            return "llmservingsim"
        for form, keys in JSON_KEYS.items():
            if all(key in request for key in keys):
                return form
        known = ", ".join(f"{form} ({', '.join(k)})" for form, k in JSON_KEYS.items())
        raise InputError(
            f"trace must be of a known format, not JSON lines with {_some(request)}", place,
            f"known: {known}",
        )  # fmt: skip
    columns = [column.strip() for column in next(csv.reader([first]), [])]
    for form, wanted in CSV_COLUMNS.items():
        if all(column in columns for column in wanted):
            return form
    if all(_is_number(column) for column in columns) or first.lstrip().startswith("#"):
        return "list"
    known = ", ".join(f"{form} ({', '.join(c)})" for form, c in CSV_COLUMNS.items())
    raise InputError(
        f"trace must be of a known format, not a file that begins with {first[:60]!r}", place,
        f"known: {known}, JSON lines, a list of contexts",
    )  # fmt: skip


def _text(path: Path, name: str) -> tuple[str, str]:
    import hashlib

    raw = read_bytes(path, name, MAX_BYTES, "trace")
    return decoded(raw, name, "trace"), hashlib.sha256(raw).hexdigest()


def _bounded(rows: Iterable[Row], name: str) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number >= MAX_REQUESTS:
            raise InputError(f"trace must have at most {MAX_REQUESTS} requests", Position(name))
        yield row


def _csv_rows(lines: list[str], name: str, form: str) -> Iterator[Row]:
    reader = csv.reader(lines)
    header: list[str] = []
    wanted: list[int] = []
    for values in reader:
        place = Position(name, reader.line_num)
        if not any(value.strip() for value in values):
            continue
        if not header:
            header = [value.strip() for value in values]
            for column in CSV_COLUMNS[form]:
                if column not in header:
                    hint = did_you_mean(column, header)
                    raise InputError(f"trace must have the column {column!r}", place, hint)
                wanted.append(header.index(column))
            continue
        if len(values) != len(header):
            raise InputError(f"row must have {len(header)} columns, not {len(values)}", place)
        incoming, outgoing = (_tokens(values[i], header[i], place) for i in wanted)
        yield incoming, outgoing


def _json_rows(lines: list[str], name: str, form: str) -> Iterator[Row]:
    keys = JSON_KEYS[form]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = Position(name, number)
        request = _object(line, place)
        requests = request[_SESSION] if form == "llmservingsim" and _SESSION in request else None
        if requests is not None and not isinstance(requests, list):
            raise InputError(f"{_SESSION} must be a list of requests", place)
        for one in [request] if requests is None else requests:
            if not isinstance(one, dict):
                raise InputError("request must be a JSON object", place)
            for key in keys:
                if key not in one:
                    hint = did_you_mean(key, one)
                    raise InputError(f"request must have the key {key!r}", place, hint)
            yield _tokens(one[keys[0]], keys[0], place), _tokens(one[keys[1]], keys[1], place)


def _list_rows(lines: list[str], name: str, form: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        content = line.partition("#")[0].replace(",", " ")
        for part in content.split():
            place = Position(name, number)
            context = _tokens(part, "context", place)
            if context < 1:
                raise InputError(f"context must be at least 1, not {context}", place)
            yield context - 1, 1


def _tokens(value: Any, column: str, place: Position) -> int:
    """A count of tokens; text and numbers such as 3772.0 are taken for what they say."""
    try:
        if isinstance(value, bool):
            raise ValueError
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
        whole = int(float(number)) if not isinstance(number, int) else number
        if whole != float(number) or not 0 <= whole <= MAX_CONTEXT:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        shown = repr(value)[:60]
        raise InputError(
            f"{column} must be a whole number of tokens up to {MAX_CONTEXT}, not {shown}", place
        ) from None
    return whole


def _object(line: str, place: Position) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        column = error.colno if isinstance(error, json.JSONDecodeError) else 0
        place = Position(place.file, place.line, column)
        raise InputError("line must be a JSON object", place) from None
    if not isinstance(request, dict):
        raise InputError("line must be a JSON object", place)
    return request


def _is_number(text: str) -> bool:
    return text.replace("_", "").isdecimal()


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "nothing"


_READERS: dict[str, Callable[[list[str], str, str], Iterator[Row]]] = {
    **dict.fromkeys(CSV_COLUMNS, _csv_rows),
    **dict.fromkeys(JSON_KEYS, _json_rows),
    "list": _list_rows,
}
