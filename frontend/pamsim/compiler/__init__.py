"""The compiler: a decode step to one PIM program per distinct channel."""

from pamsim.compiler.compile import compile_step, program_variants
from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
    QueryBinding,
    Tiling,
)
from pamsim.compiler.tiling import choose_tiling

__all__ = [
    "AppendBinding",
    "ChannelBinding",
    "ChannelProgram",
    "CompiledStep",
    "QueryBinding",
    "Tiling",
    "choose_tiling",
    "compile_step",
    "program_variants",
]
