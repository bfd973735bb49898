"""The embedded engine: one channel, issued tick by tick to docs/engine-rules.md, event by event."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from pyramulator._alone import Alone
from pyramulator._encode import EncodedDescription, EncodedStream
from pyramulator._native import ffi, lib
from pyramulator.description import Description
from pyramulator.errors import Cancelled, Deadlock, DescriptionError, EngineError, StreamError
from pyramulator.result import STALL_CLASSES, ChannelResult, Residency, Stalls
from pyramulator.stream import LOG, CommandStream

ABI_VERSION = 2
SLICE_NS = 20_000_000  # advance returns to Python this often, so that Ctrl-C is heard

_ERRORS: dict[int, type[Exception]] = {
    lib.PYR_BAD_DESCRIPTION: DescriptionError,
    lib.PYR_BAD_STREAM: StreamError,
    lib.PYR_DEADLOCK: Deadlock,
    lib.PYR_CANCELLED: Cancelled,
    lib.PYR_NO_MEMORY: MemoryError,
}

if lib.pyr_abi_version() != ABI_VERSION:  # pragma: no cover
    raise ImportError(
        f"the native core must have ABI version {ABI_VERSION}, not {lib.pyr_abi_version()}"
    )


def build_id() -> str:
    """Hash of the native sources, the compiler and its flags: 16 hex digits."""
    return hashlib.sha256(ffi.string(lib.pyr_build_info())).hexdigest()[:16]


class Engine:
    """One channel on its way through its streams.

    For one thread at a time, `cancel` apart: a call beside another's raises EngineError. The
    arrays of `stream` must not change while the engine lives.
    """

    def __init__(
        self,
        description: Description,
        stream: CommandStream,
        *,
        log: bool = False,
        stalls: bool = True,
    ) -> None:
        """Raises DescriptionError and StreamError."""
        self.description = description
        self._log_wanted = log
        self._stalls_wanted = stalls
        self._result: ChannelResult | None = None
        self._alone = Alone()
        encoded = EncodedDescription(description)
        self._stream = EncodedStream(stream, description.target_levels)
        out = ffi.new("pyr_engine **")
        message = ffi.new("char[]", 1024)
        targets, n_targets = self._stream.targets, self._stream.n_targets
        status = lib.pyr_create(
            encoded.pointer, targets, n_targets, log, stalls, out, message, len(message)
        )
        if status < 0:
            _raise(status, message)
        self._handle = ffi.gc(out[0], lib.pyr_destroy)
        for buffer, n, window in self._stream.records:
            self._check(lib.pyr_add_stream(self._handle, buffer, n, window))

    def advance(self, until_tick: int | None = None) -> bool:
        """Runs all ticks <= until_tick (None: to the end). True when the run is finished.

        Raises StreamError, Deadlock, Cancelled.
        """
        until = -1 if until_tick is None else min(int(until_tick), 2**62)
        if until_tick is not None and until < 0:
            raise ValueError(f"until_tick must be at least 0, not {until_tick}")
        with self._alone():
            while True:
                status = self._check(lib.pyr_advance(self._handle, until, SLICE_NS))
                if status != lib.PYR_PAUSED:
                    return bool(status == lib.PYR_FINISHED)

    def cancel(self) -> None:
        """Makes advance raise Cancelled within 100 ms; may be called from any thread."""
        lib.pyr_cancel(self._handle)

    def take_log(self) -> np.ndarray:
        """The LOG records since the last call (empty where no log was asked for)."""
        with self._alone():
            return self._take_log()

    def _take_log(self) -> np.ndarray:
        n = lib.pyr_log_size(self._handle)
        out = np.empty(n, LOG)
        self._check(lib.pyr_take_log(self._handle, ffi.from_buffer(out.view(np.uint8)), n))
        return out

    def result(self) -> ChannelResult:
        """The result of a finished run; its log is what take_log has not taken yet.

        Raises EngineError where the run is not finished.
        """
        with self._alone():
            if self._result is None:
                self._result = self._read_result()
            return self._result

    def _read_result(self) -> ChannelResult:
        summary = ffi.new("pyr_summary *")
        self._check(lib.pyr_summarise(self._handle, summary))
        n, rows = summary.n_streams, summary.n_rows
        counts = np.zeros(summary.n_commands, np.int64)
        classes = np.zeros((n, len(STALL_CLASSES)), np.int64)
        slot_to = np.zeros((n, n + 1), np.int64)
        by_row = np.zeros((n, rows), np.int64)
        residency = np.zeros((4, summary.n_residency), np.int64)
        arrays = (counts, classes, slot_to, by_row, residency)
        self._check(lib.pyr_result(self._handle, *(_pointer(array) for array in arrays)))
        names = [command.name for command in self.description.commands]
        return ChannelResult(
            ticks=summary.ticks,
            counts={name: int(k) for name, k in zip(names, counts, strict=True) if k},
            stalls=Stalls(classes, slot_to, by_row) if self._stalls_wanted else None,
            residency=Residency(self.description.levels[summary.residency_level], *residency),
            log=self._take_log() if self._log_wanted else None,
        )

    def _check(self, status: int) -> int:
        if status < 0:
            _raise(status, lib.pyr_error(self._handle))
        return status


def _pointer(array: np.ndarray) -> Any:
    return ffi.cast("int64_t *", array.ctypes.data)


def _raise(status: int, message: Any) -> None:
    text = ffi.string(message).decode(errors="replace")
    raise _ERRORS.get(status, EngineError)(text or f"the native core failed with status {status}")


def run(
    description: Description, stream: CommandStream, *, log: bool = False, stalls: bool = True
) -> ChannelResult:
    """Simulates one channel to its end.

    Raises DescriptionError, StreamError, Deadlock; KeyboardInterrupt within 100 ms of Ctrl-C.
    """
    engine = Engine(description, stream, log=log, stalls=stalls)
    engine.advance()
    return engine.result()
