"""Decode steps from what a user writes, and where their tokens are placed."""

from __future__ import annotations

import numpy as np
import pytest

from pamsim.errors import InputErrors
from pamsim.model import load_model
from pamsim.placement import all_in
from pamsim.workload import context_warning, make_step


@pytest.mark.parametrize(
    ("contexts", "batch", "expected"),
    [
        ("8192", 4, (8192,) * 4),
        (8192, 4, (8192,) * 4),
        ("8192", None, (8192,)),
        ("512,8192,100", None, (512, 8192, 100)),
        (" 512 , 8_192", 2, (512, 8192)),
        ([1, 2, 3], None, (1, 2, 3)),
        (np.array([7, 8]).tolist(), 2, (7, 8)),
        ("1", 1, (1,)),
    ],
)
def test_contexts(contexts: object, batch: int | None, expected: tuple[int, ...]) -> None:
    assert make_step(contexts, batch).contexts == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("contexts", "batch", "expected"),
    [
        ("0", None, "context must be between 1 and 1073741824, not 0"),
        ("-5", None, "context must be between 1 and 1073741824, not -5"),
        (str(2**40), None, "context must be between 1 and 1073741824"),
        ("", None, "context must be a whole number of tokens, not ''"),
        ("8k", None, "context must be a whole number of tokens, not '8k'"),
        ("1.5", None, "context must be a whole number of tokens, not '1.5'"),
        ("1,,2", None, "context must be a whole number of tokens, not ''"),
        (2.5, None, "context must be a whole number of tokens, not 2.5"),
        (True, None, "context must be a whole number of tokens, not true"),
        ([], None, "context must be at least one number, not an empty list"),
        ("9" * 50, None, "context must be a whole number of tokens"),
        ("8", 0, "batch must be between 1 and 1048576, not 0"),
        ("8", -1, "batch must be between 1 and 1048576, not -1"),
        ("8", 1 << 30, "batch must be between 1 and 1048576"),
        ("8", 1.5, "batch must be an integer, not 1.5"),
        ("1,2,3", 2, "batch must be 3, the number of contexts listed, or left out, not 2"),
        ([5], 2, "batch must be 1, the number of contexts listed, or left out, not 2"),
    ],
)
def test_what_is_no_step(contexts: object, batch: object, expected: str) -> None:
    with pytest.raises(InputErrors) as caught:
        make_step(contexts, batch)  # type: ignore[arg-type]
    assert expected in str(caught.value)


def test_every_fault_is_told() -> None:
    with pytest.raises(InputErrors) as caught:
        make_step("0,x,5", 7)
    assert len(caught.value.errors) == 3


def test_warning_above_the_models_context() -> None:
    model = load_model("opt-13b")  # 2048 positions (OPT, arXiv 2205.01068)
    assert context_warning(model, make_step("2048", 3)) == ""
    text = context_warning(model, make_step("2049,16,4096"))
    assert text.startswith("context of 2 of 3 requests is above the 2048 tokens")
    assert "at most 4096" in text


def test_one_tier_holds_every_token_and_costs_nothing() -> None:
    step = make_step("1000000,3")
    placed = all_in("hbm", 80, step)
    assert placed.tokens("hbm", 79) == (1000000, 3)
    assert placed.codes[0].shape == (80, 1000000)
    assert placed.codes[0].dtype == np.uint8
    assert placed.codes[0].strides == (0, 0)
