"""PAMattention on SSD-PIM: a tier's share of a decode step to the distinct channel programs."""

from __future__ import annotations

import hashlib

from pamsim.compiler.compiled import (
    AppendBinding,
    ChannelBinding,
    ChannelProgram,
    CompiledStep,
    QueryBinding,
    Tiling,
)
from pamsim.compiler.ssd_program import ChannelCode, Work
from pamsim.compiler.ssd_tiling import choose_ssd_tiling
from pamsim.compiler.variants import program_variants
from pamsim.config.spec import DeviceSpec, SystemSpec
from pamsim.config.units import shown_bytes
from pamsim.errors import CapacityError, InputError
from pamsim.layout.capacity import Room, reserved_rows
from pamsim.layout.page_map import check_wear
from pamsim.layout.ssd_pages import (
    PAGES,
    PLACES,
    PageShape,
    Tile,
    page_shape,
    page_table,
    place_tiles,
)
from pamsim.layout.table import Segment
from pamsim.model.spec import ModelSpec
from pamsim.placement.share import TierShare
from pim_isa import Program, encode, load

Pair = tuple[int, int]  # request, KV head


def compile_tier(
    model: ModelSpec, share: TierShare, system: SystemSpec, first_row: int | None = None
) -> CompiledStep:
    """Compiles one layer of a tier's share of a decode step.

    The page that a request with an append is filling lies in the write buffer. first_row: pages of
    a plane below it are taken; those of the weights and reserves if None. Channels with the same
    tiles share a program; programs come by their first channel. Raises CapacityError when pages or
    write buffer do not suffice, InputError when the device cannot run the model or is worn out.
    """
    tier = system.tier(share.tier)
    device = tier.device
    _check(model, device)
    check_wear(device, f"drives of tier {share.tier!r}")
    shape = page_shape(model, device)
    tiling = choose_ssd_tiling(model, device, shape)
    if first_row is None:
        first_row = reserved_rows(model, system, share.tier)
    room = Room(len(share.layers), first_row)
    tiles = place_tiles(model, share.step.contexts, tier, shape)
    table = page_table(tiles, tier, room, shape)
    _check_write_buffer(model, share, system, tiles, room)
    segments: dict[int, list[Segment]] = {}
    for segment in table.segments:
        segments.setdefault(segment.channel, []).append(segment)
    programs: dict[object, tuple[Program, bytes]] = {}
    bindings: dict[object, list[ChannelBinding]] = {}
    for channel, own in tiles.items():
        work, pairs = _work(own, share, shape)
        whole = _whole(own, pairs, share)
        key = tuple(work), whole
        if key not in programs:
            code = ChannelCode(work, whole, tiling, shape, device, model.group_size, first_row)
            program = code.program()
            programs[key] = program, encode(program)
        streams = len(programs[key][0].streams)
        binding = _bind(channel, work, pairs, whole, segments[channel], model, tiling, streams)
        bindings.setdefault(key, []).append(binding)
    compiled = tuple(
        ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), tuple(bindings[key]))
        for key, (program, binary) in programs.items()
    )
    return CompiledStep(
        tier=share.tier,
        device=device,
        layers=room.layers,
        table=table,
        tiling=tiling,
        programs=compiled,
        variants=program_variants((p.program for p in compiled), device.templates),
        idle_channels=table.channels - len(tiles),
        held=share,
    )


def _work(
    tiles: list[Tile], share: TierShare, shape: PageShape
) -> tuple[list[Work], tuple[Pair, ...]]:
    """A channel's tiles with its local numbers, and what pairs the numbers stand for."""
    pairs: dict[Pair, int] = {}
    work, pages = [], 0
    for tile in tiles:
        pair = pairs.setdefault((tile.request, tile.kv_head), len(pairs))
        page = None
        if is_open(tile, share, shape):
            page, pages = pages, pages + PAGES
        work.append(Work(tile.plane, tile.slot, tile.tokens, pair, page))
    return work, tuple(pairs)


def is_open(tile: Tile, share: TierShare, shape: PageShape) -> bool:
    """Whether a tile takes the request's new token, and so lies in the write buffer."""
    last = (share.step.contexts[tile.request] - 1) // shape.vectors
    return share.append[tile.request] and tile.page == last


def _whole(tiles: list[Tile], pairs: tuple[Pair, ...], share: TierShare) -> tuple[bool, ...]:
    held = dict.fromkeys(pairs, 0)
    for tile in tiles:
        held[tile.request, tile.kv_head] += tile.tokens
    contexts, divided = share.step.contexts, share.divided
    return tuple(n == contexts[r] and not divided[r] for (r, _), n in held.items())


def _bind(
    channel: int,
    work: list[Work],
    pairs: tuple[Pair, ...],
    whole: tuple[bool, ...],
    segments: list[Segment],
    model: ModelSpec,
    tiling: Tiling,
    streams: int,
) -> ChannelBinding:
    """What the program's local numbers mean on a channel. Source numbers are pages of the write
    buffer; stream 0, the controller's, works on all segments."""
    queries = tuple(
        QueryBinding(request, head * model.group_size + member, part, final)
        for (request, head), final in zip(pairs, whole, strict=True)
        for member in range(model.group_size)
        for part in range(tiling.parts)
    )
    appends = tuple(
        AppendBinding(*pairs[tile.pair], value)
        for tile in work
        if tile.page is not None
        for value in (False, True)
    )
    works_on = (tuple(range(len(segments))), *((),) * (streams - 1))
    buffered = sum(w.vectors for w in work if w.page is not None)
    return ChannelBinding(channel, queries, appends, tuple(segments), works_on, buffered)


def _check_write_buffer(
    model: ModelSpec,
    share: TierShare,
    system: SystemSpec,
    tiles: dict[int, list[Tile]],
    room: Room,
) -> None:
    """The write buffer of every drive holds the open pages of all layers."""
    tier = system.tier(share.tier)
    organisation, shape = tier.device.organisation, page_shape(model, tier.device)
    held = int(tier.device.pim.extra["write_buffer_mib"]) << 20
    for drive in range(tier.devices):
        channels = range(drive * organisation.channels_per_device,
                         (drive + 1) * organisation.channels_per_device)  # fmt: skip
        open_tiles = sum(is_open(t, share, shape) for c in channels for t in tiles.get(c, ()))
        need = open_tiles * PAGES * organisation.row_bytes * room.layers
        if need > held:
            raise CapacityError(
                f"pages that requests are filling must fit the write buffer of {shown_bytes(held)} "
                f"of {tier.device.name}, not need {shown_bytes(need)}: {shown_bytes(need - held)} "
                "too much",
                None,
                "a smaller batch, more drives, or new tokens in another tier",
            )


def _check(model: ModelSpec, device: DeviceSpec) -> None:
    organisation, table = device.organisation, load(device.family)
    units = int(device.pim.extra["processing_units"])
    for what, has, should in (
        ("processing units of a channel", units / organisation.channels_per_device, PLACES),
        ("FP16 lanes of a unit", device.pim.lanes, table.constants["lanes"]),
        ("column_bytes", organisation.column_bytes, organisation.row_bytes),
    ):
        if has != should:
            raise InputError(f"{what} of {device.name} must be {should}, not {has:g}")
    most = table.constants["row_columns"] * 2 * table.constants["lanes"]
    if organisation.row_bytes > most:
        raise InputError(
            f"page of {device.name} must be at most {most} B, which is what an instruction can "
            f"name, not {organisation.row_bytes} B"
        )
    for what, bad in (
        ("kv_dtype", model.kv_dtype not in ("fp16", "bf16") and model.kv_dtype),
        ("attention", model.mla and "latent (MLA)"),
        ("softcap", model.softcap),
    ):
        if bad:
            raise InputError(
                f"{what} of {model.name} must be what SSD-PIM's units compute (FP16 K and V, no "
                f"cap of the scores), not {bad}"
            )
