"""Layers that read the same tokens: compiled and simulated once."""

from __future__ import annotations

from dataclasses import dataclass

from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class LayerClass:
    """Layers of a model, by number, whose attention reads `step`'s tokens."""

    layers: tuple[int, ...]
    step: DecodeStep


def layer_classes(model: ModelSpec, step: DecodeStep) -> tuple[LayerClass, ...]:
    """The classes of a step, by their first layer.

    A layer with a sliding window keeps and reads min(context, window) tokens of each request.
    """
    layers: dict[tuple[int, ...], list[int]] = {}
    for layer in range(model.layers):
        window = model.window_of(layer)
        read = tuple(c if window is None else min(c, window) for c in step.contexts)
        layers.setdefault(read, []).append(layer)
    return tuple(LayerClass(tuple(n), DecodeStep(read)) for read, n in layers.items())
