"""The key of a point: a hash of everything that can change its result.

That is: the resolved model, the resolved system, the contexts, the seed, which proofs run, the
engine's build, the instruction tables, pamsim's own code below the command line, and the code of
families in PAMSIM_DEVICES. Labels, directories, hosts and dates are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import groupby
from typing import Any

import pyramulator
from pamsim.config import load_system, resolved_json
from pamsim.config.overrides import names_description, parse_override
from pamsim.config.spec import SystemSpec
from pamsim.model import load_model, with_kv_dtype
from pamsim.model.spec import ModelSpec
from pamsim.report.code import code_digest, plugin_files
from pamsim.report.document import SCHEMA_VERSION
from pamsim.report.text import sha256_bytes, sha256_of
from pim_isa.plugins import VARIABLE


def code_part() -> dict[str, str]:
    """The part of the key that is the same for every point: versions and builds."""
    return _code_part(os.environ.get(VARIABLE, ""))


@cache
def _code_part(_plugins: str) -> dict[str, str]:
    return {
        "pamsim": version("pamsim"),
        "schema": str(SCHEMA_VERSION),
        "code": code_digest(),
        "plugins": sha256_of(plugin_files()),
        "engine_build": pyramulator.build_id(),
        "numpy": version("numpy"),
    }


@lru_cache(maxsize=256)
def model_of(name_or_path: str, kv_dtype: str | None = None) -> tuple[ModelSpec, str]:
    """A model, its KV cache in another dtype where one is given, and the hash of it.

    Raises InputError(s).
    """
    model = load_model(name_or_path)
    if kv_dtype is not None:
        model = with_kv_dtype(model, kv_dtype)
    return model, sha256_of(asdict(model))


@lru_cache(maxsize=1024)
def system_of(name_or_path: str, overrides: tuple[str, ...]) -> SystemSpec:
    """A system with its overrides in place. Raises InputError(s)."""
    return load_system(name_or_path, overrides)


def system_digest(name_or_path: str, overrides: tuple[str, ...]) -> str:
    """Hash of what the resolved system follows from: itself resolved, and the values set in it.

    Overrides that name other descriptions are resolved; those that set a value stand for
    themselves, so that a sweep over many values costs no resolution each. Raises InputError(s).
    """
    parsed = [(text, *_parsed(text)) for text in overrides]
    base = _base_digest(name_or_path, tuple(text for text, naming, _, _ in parsed if naming))
    values = {path: value for _, naming, path, value in parsed if not naming}
    return sha256_of([base, values]) if values else base


@lru_cache(maxsize=1 << 16)
def _parsed(text: str) -> tuple[bool, str, Any]:
    """Of an override: whether it names a description, its path, its value."""
    override = parse_override(text)
    naming = names_description("system", override.path)
    return naming, ".".join(override.path), override.value


@lru_cache(maxsize=1024)
def _base_digest(name_or_path: str, naming: tuple[str, ...]) -> str:
    return sha256_bytes(resolved_json(load_system(name_or_path, naming)).encode())


def runs_of(contexts: Sequence[int]) -> list[list[int]]:
    """Contexts as [tokens, how many in a row]: short where a batch has one context."""
    return [[tokens, len(list(group))] for tokens, group in groupby(contexts)]


def contexts_of(runs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The reverse of `runs_of`."""
    return tuple(tokens for tokens, count in runs for _ in range(count))


def key_of(spec: dict[str, Any]) -> str:
    """The key of a point's spec. Raises InputError(s) when its model or system cannot be loaded."""
    return sha256_of(
        {
            **code_part(),
            "model": model_of(spec["model"], spec["kv_dtype"])[1],
            "system": system_digest(spec["system"], tuple(spec["overrides"])),
            "contexts": spec["contexts"],
            "seed": spec["seed"],
            "validate": spec["validate"],
            "engine": spec["engine"],
        }
    )
