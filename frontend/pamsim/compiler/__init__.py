"""The compiler: a decode step to one PIM program per distinct channel."""

from pamsim.compiler.compile import CompiledPart, compile_parts, compile_share, compile_step
from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
    QueryBinding,
    Tiling,
)
from pamsim.compiler.tiling import choose_tiling
from pamsim.compiler.variants import program_variants

__all__ = [
    "AppendBinding",
    "ChannelBinding",
    "ChannelProgram",
    "CompiledPart",
    "CompiledStep",
    "QueryBinding",
    "Tiling",
    "choose_tiling",
    "compile_parts",
    "compile_share",
    "compile_step",
    "program_variants",
]
