"""The program of an AiM channel: appends, q.K of every head, the softmax outside, P.V.

K phase: the global buffer holds a query as often as a row has K vectors; a MAC_ABK over one
vector's columns gives the scores of 16 tokens, one a bank. Two such products, in the two MAC
registers of a unit, share a change of mode. After a SYNC the controller has put the softmax in
place of the scores. V phase: the buffer holds a block of probabilities; a MAC_ABK over a row gives
16 elements of the block's part of the output, which the controller adds up over the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pamsim.compiler.code import Code, Writer
from pamsim.layout.aim import BANKS, LANES, AimShape
from pamsim.layout.whole_heads import HeadSegment
from pim_isa import Instruction, Program, Stream, Unit, load

FAMILY = "aim"
THREADS = 2  # MAC registers of a unit
ZERO = 0  # a register that the host keeps zero

_HINT = "a smaller batch, shorter contexts or more devices"
_WRITER = Writer(FAMILY)
_make = _WRITER.make


@dataclass(frozen=True)
class HeadRegisters:
    """Where the registers of one (request, KV head) begin; a member is a query head of the group.

    queries: `vector_columns` a member. scores: one a slot, `stride` a member; the probabilities
    take their place. outputs: one for 16 elements, from 64 to 64 for each block, likewise `stride`
    a member. key, value: of the appended token, `vector_columns` each.
    """

    queries: int
    scores: int
    outputs: int
    stride: int
    key: int
    value: int
    end: int


def registers(
    heads: Sequence[HeadSegment], shape: AimShape, group_size: int
) -> tuple[HeadRegisters, ...]:
    """One after the other. Raises InputError when an instruction cannot name them."""
    found, at = [], ZERO + 1
    for head in heads:
        stride = shape.blocks(head.tokens) * shape.columns
        queries, scores = at, at + group_size * shape.vector_columns
        outputs = scores + group_size * stride
        key = outputs + group_size * stride
        value = key + shape.vector_columns
        at = value + shape.vector_columns
        found.append(HeadRegisters(queries, scores, outputs, stride, key, value, at))
    _WRITER.check_number("registers", at, "RD_MAC", "gpr", _HINT)
    return tuple(found)


def channel_program(
    heads: Sequence[HeadSegment], shape: AimShape, group_size: int, appends: Sequence[bool]
) -> Program:
    """Attention of a channel's heads; appends: whether the step's new token of a head lies here."""
    code: list[Instruction] = []
    places = registers(heads, shape, group_size)
    for head, place, new in zip(heads, places, appends, strict=True):
        if new:
            code += _append(head, place, shape)
    for head, place in zip(heads, places, strict=True):
        for member in range(group_size):
            code += _scores(head, place, shape, member)
    code.append(_make("SYNC"))
    for head, place in zip(heads, places, strict=True):
        for member in range(group_size):
            code += _outputs(head, place, shape, member)
    return Program(FAMILY, (Stream(Unit(), tuple(code)),))


def _append(head: HeadSegment, place: HeadRegisters, shape: AimShape) -> Code:
    """The last token: K as columns of one bank, V as one element of every bank a row."""
    token = head.tokens - 1
    slot, bank = divmod(token, BANKS)
    group, inner = divmod(bank, load(FAMILY).constants["group_banks"])
    yield _make(
        "WR_SBK",
        gpr=place.key,
        bg=group,
        bank=inner,
        row=head.key_row + slot // shape.row_slots,
        column=slot % shape.row_slots * shape.vector_columns,
        size=shape.vector_columns,
    )
    block, inside = divmod(token, shape.block_tokens)
    column, lane = divmod(inside, LANES)
    for part in range(shape.block_rows):
        row = head.value_row + block * shape.block_rows + part
        yield _make("WR_ABK", gpr=place.value + part, row=row, column=column, lane=lane)


def _scores(head: HeadSegment, place: HeadRegisters, shape: AimShape, member: int) -> Code:
    width = shape.vector_columns
    slots = shape.slots(head.tokens)
    rows, rest = divmod(slots, shape.row_slots)
    scores = place.scores + member * place.stride
    yield _make("TMOD", registers=1)
    for copy in range(min(slots, shape.row_slots)):
        query = place.queries + member * width
        yield _make("WR_GB", gpr=query, column=copy * width, size=width)
    products = [(0, slot * width, width) for slot in range(shape.row_slots)]
    row = list(_multiply(head.key_row, products, scores))
    yield from _WRITER.repeat(rows, row, row_step=1, gpr_step=shape.row_slots)
    if rest:
        yield from _multiply(head.key_row + rows, products[:rest], scores + rows * shape.row_slots)
    yield _make("TMOD", registers=0)


def _outputs(head: HeadSegment, place: HeadRegisters, shape: AimShape, member: int) -> Code:
    blocks, rest = divmod(head.tokens, shape.block_tokens)
    first = member * place.stride
    yield _make("TMOD", registers=1)
    for count, block, columns in (
        (blocks, 0, shape.columns),
        (int(rest > 0), blocks, -(-rest // LANES)),
    ):
        if not count:
            continue
        at = first + block * shape.columns
        body = [_make("WR_GB", gpr=place.scores + at, size=columns)]
        products = [(part, 0, columns) for part in range(shape.block_rows)]
        row = head.value_row + block * shape.block_rows
        body += _multiply(row, products, place.outputs + at)
        steps = {"row_step": shape.block_rows, "gpr_step": shape.columns}
        yield from _WRITER.repeat(count, body, **steps)
    yield _make("TMOD", registers=0)


def _multiply(row: int, products: Sequence[tuple[int, int, int]], gpr: int) -> Code:
    """Products (rows from `row` on, first column, columns), each into a register from `gpr` on."""
    for start in range(0, len(products), THREADS):
        several = list(enumerate(products[start : start + THREADS]))
        for thread, _ in several:
            yield _make("WR_BIAS", bias=ZERO, thread=thread)
        yield _make("TMOD", registers=0)
        for thread, (rows, column, size) in several:
            yield _make("MAC_ABK", row=row + rows, column=column, size=size, thread=thread)
        yield _make("TMOD", registers=1)
        for thread, _ in several:
            yield _make("RD_MAC", gpr=gpr + start + thread, thread=thread)
