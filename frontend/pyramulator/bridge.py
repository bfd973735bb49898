"""The real Ramulator 2.1 as an engine: its device says when, our controller says what.

To docs/engine-rules.md without the host queues and the stall figures, tick by tick or, in replay,
from one tick at which something can happen to the next; the run is the same. It is there to hold
the embedded engine against (docs/bridge.md); bridge_build finds Ramulator and compiles the bridge.
"""

from __future__ import annotations

import functools
from typing import Any

import cffi
import numpy as np

from pyramulator import bridge_build
from pyramulator._alone import Alone
from pyramulator._encode import EncodedDescription, EncodedStream
from pyramulator._native import ffi as native_ffi
from pyramulator.description import Description
from pyramulator.engine import ABI_VERSION, SLICE_NS
from pyramulator.errors import Cancelled, Deadlock, DescriptionError, EngineError, StreamError
from pyramulator.result import ChannelResult, Residency
from pyramulator.stream import LOG, CommandStream


@functools.cache
def _load() -> tuple[Any, Any]:
    """The cffi instance and the loaded bridge. Raises EngineError."""
    path = bridge_build.build()
    ffi = cffi.FFI()
    for header in bridge_build.headers():
        text = header.read_text(encoding="utf-8")
        ffi.cdef(text.split("/* cdef begin */")[1].split("/* cdef end */")[0])
    try:
        lib = ffi.dlopen(str(path))
    except OSError as error:
        raise EngineError(f"the bridge {path} must load, and does not: {error}") from None
    if lib.pyr_abi_version() != ABI_VERSION:
        found = lib.pyr_abi_version()
        raise EngineError(
            f"the bridge must have ABI version {ABI_VERSION}, not {found}: remove {path}"
        )
    return ffi, lib


def bridge_id() -> str:
    """Ramulator's commit and library, our sources, the compiler, for people. Raises EngineError."""
    ffi, lib = _load()
    return str(ffi.string(lib.pyr_build_info()).decode())


class Bridge:
    """One channel on its way through its streams, on Ramulator's device.

    For one thread at a time, `cancel` apart: a call beside another's raises EngineError. The arrays
    of `stream` must not change while the bridge lives.
    """

    def __init__(
        self,
        description: Description,
        stream: CommandStream,
        *,
        log: bool = False,
        stalls: bool = False,
        replay: bool = False,
    ) -> None:
        """replay: pass over the ticks at which nothing can happen.

        Raises DescriptionError, StreamError; EngineError where there is no usable Ramulator, and
        where stalls are asked for, which Ramulator's device cannot tell.
        """
        self.description = description
        self._result: ChannelResult | None = None
        self._log_wanted = log
        self._alone = Alone()
        self._ffi, self._lib = _load()
        ffi, lib = self._ffi, self._lib
        encoded = EncodedDescription(description)
        self._stream = EncodedStream(stream, description.target_levels)
        out = ffi.new("pyr_engine **")
        message = ffi.new("char[]", 1024)
        status = lib.pyr_create(
            self._theirs("pyr_description *", encoded.pointer),
            self._theirs("int32_t *", self._stream.targets),
            self._stream.n_targets,
            log,
            stalls,
            out,
            message,
            1024,
        )
        if status < 0:
            self._raise(status, message)
        self._handle = ffi.gc(out[0], lib.pyr_destroy)
        self._check(lib.pyr_bridge_replay(self._handle, replay))
        for buffer, n, window in self._stream.records:
            self._check(lib.pyr_add_stream(self._handle, self._theirs("void *", buffer), n, window))

    def advance(self, until_tick: int | None = None) -> bool:
        """Runs all ticks <= until_tick (None: to the end). True when the run is finished.

        Raises StreamError, Deadlock, Cancelled.
        """
        until = -1 if until_tick is None else min(int(until_tick), 2**62)
        if until_tick is not None and until < 0:
            raise ValueError(f"until_tick must be at least 0, not {until_tick}")
        with self._alone():
            while True:
                status = self._check(self._lib.pyr_advance(self._handle, until, SLICE_NS))
                if status != self._lib.PYR_PAUSED:
                    return bool(status == self._lib.PYR_FINISHED)

    def cancel(self) -> None:
        """Makes advance raise Cancelled within 100 ms; may be called from any thread."""
        self._lib.pyr_cancel(self._handle)

    def take_log(self) -> np.ndarray:
        """The LOG records since the last call (empty where no log was asked for)."""
        with self._alone():
            return self._take_log()

    def _take_log(self) -> np.ndarray:
        n = self._lib.pyr_log_size(self._handle)
        out = np.empty(n, LOG)
        buffer = self._ffi.from_buffer(out.view(np.uint8))
        self._check(self._lib.pyr_take_log(self._handle, buffer, n))
        return out

    def result(self) -> ChannelResult:
        """The result of a finished run, without stalls; its log is what take_log has not taken yet.

        Raises EngineError where the run is not finished.
        """
        with self._alone():
            if self._result is None:
                self._result = self._read_result()
            return self._result

    def _read_result(self) -> ChannelResult:
        ffi, lib = self._ffi, self._lib
        summary = ffi.new("pyr_summary *")
        self._check(lib.pyr_summarise(self._handle, summary))
        counts = np.zeros(summary.n_commands, np.int64)
        residency = np.zeros((4, summary.n_residency), np.int64)
        none = ffi.NULL
        into = [ffi.cast("int64_t *", array.ctypes.data) for array in (counts, residency)]
        self._check(lib.pyr_result(self._handle, into[0], none, none, none, into[1]))
        names = [command.name for command in self.description.commands]
        return ChannelResult(
            ticks=summary.ticks,
            counts={name: int(k) for name, k in zip(names, counts, strict=True) if k},
            stalls=None,
            residency=Residency(self.description.levels[summary.residency_level], *residency),
            log=self._take_log() if self._log_wanted else None,
        )

    def _theirs(self, kind: str, pointer: Any) -> Any:
        """A pointer of the embedded engine's cffi instance as one of the bridge's: same C types."""
        return self._ffi.cast(kind, int(native_ffi.cast("uintptr_t", pointer)))

    def _check(self, status: int) -> int:
        if status < 0:
            self._raise(status, self._lib.pyr_error(self._handle))
        return status

    def _raise(self, status: int, message: Any) -> None:
        lib = self._lib
        errors: dict[int, type[Exception]] = {
            lib.PYR_BAD_DESCRIPTION: DescriptionError,
            lib.PYR_BAD_STREAM: StreamError,
            lib.PYR_DEADLOCK: Deadlock,
            lib.PYR_CANCELLED: Cancelled,
            lib.PYR_NO_MEMORY: MemoryError,
        }
        text = self._ffi.string(message).decode(errors="replace")
        raise errors.get(status, EngineError)(text or f"the bridge failed with status {status}")


def run_bridge(
    description: Description, stream: CommandStream, *, log: bool = False, replay: bool = False
) -> ChannelResult:
    """Simulates one channel to its end on Ramulator's device; its stalls are None.

    Raises DescriptionError, StreamError, Deadlock, and EngineError where RAMULATOR2_ROOT names no
    usable Ramulator.
    """
    bridge = Bridge(description, stream, log=log, replay=replay)
    bridge.advance()
    return bridge.result()
