"""The engines by name: the embedded one, and Ramulator 2.1 through the bridge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pamsim.errors import InputError, did_you_mean
from pyramulator import build_id
from pyramulator.bridge import Bridge, bridge_id
from pyramulator.bridge_build import COMMIT, is_compiled
from pyramulator.engine import Engine
from pyramulator.errors import EngineError

EMBEDDED = "embedded"
RAMULATOR2 = "ramulator2"  # tick by tick
RAMULATOR2_REPLAY = "ramulator2-replay"  # from one tick that matters to the next
ENGINES = (EMBEDDED, RAMULATOR2, RAMULATOR2_REPLAY)


def engine_type(engine: str) -> Callable[..., Engine | Bridge]:
    """What makes a run of this engine; it can be used.

    Raises InputError for an unknown name and, for Ramulator, where RAMULATOR2_ROOT names no usable
    one or the bridge does not compile.
    """
    if engine not in ENGINES:
        raise InputError(
            f"engine must be a known one, not {engine!r}", None, did_you_mean(engine, ENGINES)
        )
    if engine == EMBEDDED:
        return Engine
    engine_build(engine)
    return partial(Bridge, replay=engine == RAMULATOR2_REPLAY)


def must_compile(engine: str) -> bool:
    """Whether the engine's first use compiles the bridge. Raises InputError as engine_type."""
    try:
        return engine != EMBEDDED and not is_compiled()
    except EngineError as error:
        raise InputError(str(error)) from error


def engine_build(engine: str) -> tuple[str, str | None]:
    """What the engine was built from, and Ramulator's commit where it is Ramulator.

    Compiles the bridge where the cache has none. Raises InputError as engine_type.
    """
    if engine == EMBEDDED:
        return build_id(), None
    try:
        return bridge_id(), COMMIT
    except EngineError as error:
        raise InputError(str(error)) from error
