"""The container of an encoded program: layout that encoder and decoder share.

    header   magic "PIMB", u16 container version, u16 version of the instruction set,
             16 bytes family (ASCII, padded with NUL), u32 streams, u32 zero
    streams  per stream: u8 pseudo-channel, u8 SID, u8 bank group, u8 zero, u32 instructions
    words    the instructions of every stream in turn, u64 each

All numbers are little-endian.
"""

from __future__ import annotations

import struct

MAGIC = b"PIMB"
CONTAINER_VERSION = 1
HEADER = struct.Struct("<4sHH16sII")
STREAM = struct.Struct("<BBBBI")
WORD_BYTES = 8
