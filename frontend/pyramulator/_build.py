"""Builds the native core: `pyramulator._native`, one extension for every Python from 3.11 on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent
NATIVE = HERE / "native"
FLAGS = ["-std=c++20", "-O3", "-fvisibility=hidden", "-fno-plt", "-Wall", "-Wextra"]


def _relative(path: Path) -> str:
    """setuptools wants paths relative to the project's root, with slashes."""
    return Path(os.path.relpath(path, HERE.parent.parent)).as_posix()


def _declarations() -> str:
    header = (NATIVE / "pyramulator.h").read_text(encoding="utf-8")
    return header.split("/* cdef begin */")[1].split("/* cdef end */")[0]


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(NATIVE.glob("*.[hc]*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(" ".join(FLAGS).encode())
    return digest.hexdigest()


ffibuilder = cffi.FFI()
ffibuilder.cdef(_declarations())
ffibuilder.set_source(
    "pyramulator._native",
    '#include "pyramulator.h"',
    source_extension=".cpp",
    sources=[_relative(path) for path in sorted(NATIVE.glob("*.cpp"))],
    depends=[_relative(path) for path in sorted(NATIVE.glob("*.h*"))],
    include_dirs=[_relative(NATIVE)],
    extra_compile_args=FLAGS,
    extra_link_args=["-s"],
    define_macros=[("PYRAMULATOR_BUILD", f'"{_sources_hash()}"')],
    py_limited_api=True,
)
