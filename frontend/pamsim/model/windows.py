"""Which layers read how many tokens: sliding_window, layer_types and what stands for them."""

from __future__ import annotations

from pamsim.model.architectures import EVEN_BELOW, EVERY, FROM, Architecture
from pamsim.model.fields import Fields, shown

Windows = tuple[int | None, ...]

_MAX_WINDOW_LAYERS = 28  # when left out, in all that have it


def layer_windows(
    fields: Fields, architecture: Architecture, layers: int, max_context: int
) -> Windows:
    """The window of every layer, in tokens, the newest included; None: the layer reads all.

    Collects faults in `fields` and returns windows all the same.
    """
    if not architecture.windows:
        return _without(fields, architecture, layers, max_context)
    switched_off = architecture.window_switch and not fields.flag("use_sliding_window", False)
    window = None if switched_off else _window(fields, architecture)
    given = fields.data.get("layer_types")
    if given is not None and architecture.reads_layer_types:
        return _by_type(fields, architecture, layers, window)
    if given is not None:
        _only_full(fields, architecture)
    if window is None:
        return (None,) * layers
    sliding = _rule(fields, architecture, layers)
    return tuple(window if s else None for s in sliding)


def _window(fields: Fields, architecture: Architecture) -> int | None:
    value = fields.data.get("sliding_window", architecture.window_default)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        fields.fault(
            f"sliding_window must be null or a positive integer, not {shown(value)}",
            "sliding_window",
        )
        return None
    return value


def _rule(fields: Fields, architecture: Architecture, layers: int) -> list[bool]:
    """Whether a layer is a sliding one, where layer_types does not say."""
    if architecture.windows == EVERY:
        return [True] * layers
    if architecture.windows in (FROM, EVEN_BELOW):
        bound = fields.data.get("max_window_layers", _MAX_WINDOW_LAYERS)
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            fields.fault(
                f"max_window_layers must be an integer of at least 0, not {shown(bound)}",
                "max_window_layers",
            )
            return [False] * layers
        if architecture.windows == FROM:
            return [i >= bound for i in range(layers)]
        return [i % 2 == 0 and i < bound for i in range(layers)]
    pattern = fields.count("sliding_window_pattern", architecture.window_pattern) or 1
    return [(i + 1) % pattern != 0 for i in range(layers)]


def _by_type(
    fields: Fields, architecture: Architecture, layers: int, window: int | None
) -> Windows:
    kinds = fields.data["layer_types"]
    if not isinstance(kinds, list) or len(kinds) != layers:
        what = f"a list of {len(kinds)}" if isinstance(kinds, list) else shown(kinds)
        fields.fault(
            f"layer_types must be a list of num_hidden_layers = {layers} names, not {what}",
            "layer_types",
        )
        return (None,) * layers
    if not _known(fields, kinds):
        return (None,) * layers
    if "sliding_attention" in kinds and window is None:
        switch = "use_sliding_window must be true and " if architecture.window_switch else ""
        fields.fault(
            f"{switch}sliding_window must be given where layer_types has sliding_attention",
            "layer_types",
        )
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _known(fields: Fields, kinds: list[object]) -> bool:
    for i, kind in enumerate(kinds):
        if kind not in ("full_attention", "sliding_attention"):
            fields.fault(
                f"layer_types must be of full_attention and sliding_attention, not {shown(kind)} "
                f"(layer {i})",
                "layer_types",
                "other attention is not modelled",
            )
            return False
    return True


def _only_full(fields: Fields, architecture: Architecture) -> None:
    kinds = fields.data["layer_types"]
    if not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds):
        fields.fault(
            f"layer_types must be all full_attention for {architecture.name}, which has no layers "
            "of several kinds",
            "layer_types",
        )


def _without(fields: Fields, architecture: Architecture, layers: int, max_context: int) -> Windows:
    """An architecture without windows: those that take nothing away are ignored."""
    if fields.data.get("layer_types") is not None:
        _only_full(fields, architecture)
    value = fields.data.get("sliding_window")
    if value is not None and (not isinstance(value, int) or value < max_context):
        fields.fault(
            f"sliding_window must be null for {architecture.name}, which has no windows, "
            f"not {shown(value)}",
            "sliding_window",
        )
    return (None,) * layers
