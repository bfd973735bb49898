"""Request traces in the published formats, and batches drawn from them.

The samples below were made up for these tests, in the formats of the public traces; where a figure
is expected, it is counted from the sample's few lines.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pamsim.errors import InputError
from pamsim.workload import RULES, draw_contexts, read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:04.0781490,110,0
"""
VIDUR = """num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio
3772,54,3826,69.85185185185185
2015.0,156,2171,12.916666666666666
"""
MOONCAKE = [
    {"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]},
    {"timestamp": 27, "input_length": 7322, "output_length": 490, "hash_ids": [0, 14]},
]
SERVING_SIM = [
    {"input_toks": 10, "output_toks": 70, "arrival_time_ns": 46926808, "input_tok_ids": [1, 2]},
    {"session_id": "s", "arrival_time_ns": 5, "sub_requests": [
        {"input_toks": 1472, "output_toks": 133, "tool_duration_ns": 127348767},
        {"input_toks": 1582, "output_toks": 125, "tool_duration_ns": 0}]},
]  # fmt: skip
LIST = "# contexts\n512, 8192\n\n100\n"

SAMPLES = {
    "azure": (AZURE, [4808, 3180], [10, 8]),
    "vidur": (VIDUR, [3772, 2015], [54, 156]),
    "mooncake": ("\n".join(map(json.dumps, MOONCAKE)), [6758, 7322], [500, 490]),
    "llmservingsim": ("\n".join(map(json.dumps, SERVING_SIM)), [10, 1472, 1582], [70, 133, 125]),
    "list": (LIST, [511, 8191, 99], [1, 1, 1]),
}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("form", SAMPLES)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_formats(tmp_path: Path, form: str, named: bool, ending: str, mark: str) -> None:
    text, incoming, outgoing = SAMPLES[form]
    path = write(tmp_path / "trace", mark + text.replace("\n", ending))
    trace = read_trace(path, form if named else None)
    assert trace.format == form
    assert trace.input_tokens.tolist() == incoming
    assert trace.output_tokens.tolist() == outgoing
    assert trace.left_out == (1 if form == "azure" else 0)  # its last request decodes nothing


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        (AZURE + "2023,abc,3\n", None,
         "ContextTokens must be a whole number of tokens up to 1073741824, not 'abc' [{}:5]"),
        (AZURE + "2023,7\n", None, "row must have 3 columns, not 2 [{}:5]"),
        (AZURE, "vidur", "trace must have the column 'num_prefill_tokens' [{}:1]"),
        (AZURE, "asure",
         "trace format must be a known one, not 'asure' (did you mean 'azure'?)"),
        ('{"input_length": 5}', "mooncake", "request must have the key 'output_length' [{}:1]"),
        ('{"input_length": 5, "output_length": 2}\n{"a"', None,
         "line must be a JSON object [{}:2:5]"),
        ('{"prompt": 5}', None, "trace must be of a known format, not JSON lines with prompt"),
        ("hello,world\n", None,
         "trace must be of a known format, not a file that begins with 'hello,world' [{}:1]"),
        ("512\n0\n", None, "context must be at least 1, not 0 [{}:2]"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,0\n", None,
         "trace must have requests that decode a token, not none [{}]"),
        ("512\n1.5\n", "list", "context must be a whole number of tokens"),
        ("512\n99999999999\n", None, "context must be a whole number of tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(tmp_path: Path, text: str, form: str | None, message: str) -> None:
    path = write(tmp_path / "trace", text)
    with pytest.raises(InputError) as error:
        read_trace(path, form)
    assert message.format(path) in str(error.value)


def test_files_that_are_no_traces(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trace must be readable: No such file"):
        read_trace(tmp_path / "none.csv")
    path = tmp_path / "binary"
    path.write_bytes(b"TIMESTAMP\n\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"trace must be UTF-8, not a byte 0xff \[.*:2:1\]"):
        read_trace(path)


@pytest.mark.parametrize("rule", RULES)
def test_draws_are_decode_steps_of_the_trace(tmp_path: Path, rule: str) -> None:
    rng = np.random.default_rng(1)
    rows = [(int(i), int(o)) for i, o in rng.integers(1, 1000, (200, 2))]
    text = "num_prefill_tokens,num_decode_tokens\n" + "".join(f"{i},{o}\n" for i, o in rows)
    trace = read_trace(write(tmp_path / "t.csv", text))
    drawn = draw_contexts(trace, 64, seed=7, draw=3, rule=rule)
    assert len(drawn) == 64
    # A step of a request of i and o tokens attends to i + 1 .. i + o.
    assert all(any(i + 1 <= c <= i + o for i, o in rows) for c in drawn)
    assert drawn == draw_contexts(trace, 64, seed=7, draw=3, rule=rule)
    assert drawn != draw_contexts(trace, 64, seed=7, draw=4, rule=rule)
    assert drawn != draw_contexts(trace, 64, seed=8, draw=3, rule=rule)
    if rule == "arrival":
        follows = [
            all(i + 1 <= c <= i + o for c, (i, o) in zip(drawn, rows[start:], strict=False))
            for start in range(len(rows) - 63)
        ]
        assert any(follows)


def test_draws_by_tokens_follow_the_decode_steps(tmp_path: Path) -> None:
    """One request decodes 900 steps, another 100: nine draws in ten are of the first."""
    text = "num_prefill_tokens,num_decode_tokens\n10000,900\n20000,100\n"
    trace = read_trace(write(tmp_path / "t.csv", text))
    drawn = np.array(draw_contexts(trace, 4000, 1, 0, "tokens"))
    first = drawn < 20000
    # Binomial with n = 4000, p = 0.9: a standard deviation of 0.0047; 5 of them.
    assert abs(first.mean() - 0.9) < 0.024
    # Steps of the first are uniform on 1..900: mean 450.5, standard error 260 / sqrt(3600) = 4.3.
    assert abs((drawn[first] - 10000).mean() - 450.5) < 22
    by_request = np.array(draw_contexts(trace, 4000, 1, 0, "requests"))
    assert abs((by_request < 20000).mean() - 0.5) < 0.04  # p = 0.5: 0.0079; 5 of them


def test_one_draw_pinned(tmp_path: Path) -> None:
    """The same numbers on every machine: seen on x86-64 with numpy 2.4, kept since."""
    trace = read_trace(write(tmp_path / "t.csv", AZURE))
    assert draw_contexts(trace, 6, 0, 0, "tokens") == (3186, 4809, 4818, 3186, 4809, 4813)


def test_requests_within(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "t.csv", AZURE)).within(4000)
    assert (trace.input_tokens.tolist(), trace.left_out) == ([3180], 2)
    with pytest.raises(InputError, match="trace must have requests to draw from"):
        draw_contexts(trace.within(1), 1, 0, 0, "tokens")
    with pytest.raises(InputError, match="batch must be at most 1"):
        draw_contexts(trace, 2, 0, 0, "arrival")
    with pytest.raises(InputError, match="did you mean 'tokens'"):
        draw_contexts(trace, 2, 0, 0, "token")
