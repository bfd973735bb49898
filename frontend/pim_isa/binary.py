"""The container of an encoded program: layout that encoder and decoder share.

    header   magic "PIMB", u16 container version, u16 version of the instruction set,
             16 bytes family (ASCII, padded with NUL), u32 streams, u32 zero
    streams  per stream: 4 bytes, one for each level of the family's unit (HBM-PIM: pseudo-channel,
             SID, bank group), the others 0, then u32 instructions
    words    the instructions of every stream in turn, u64 each

All numbers are little-endian.
"""

from __future__ import annotations

import struct

MAGIC = b"PIMB"
CONTAINER_VERSION = 1
HEADER = struct.Struct("<4sHH16sII")
STREAM = struct.Struct("<BBBBI")
UNIT_BYTES = 4
WORD_BYTES = 8
