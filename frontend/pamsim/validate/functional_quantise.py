"""The quantiser of the functional proof: FP16 vectors to what a KV dtype stores.

FP8 rounds to E4M3 without a scale, which is a per-tensor scale of 1. INT8 and INT4 are symmetric
with one FP16 scale a vector (token, KV head, K or V): scale = max|x| / 127 or 7, rounded to FP16;
element = x / scale, rounded to nearest, ties to even, clipped to +-127 or +-7. The proof compares
with the numbers that elements and scale stand for, so it checks programs, not this quantiser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pamsim.model.spec import ModelSpec
from pim_isa.formats import FORMATS, Format

FP16 = FORMATS["fp16"]


@dataclass(frozen=True)
class Stored:
    """Vectors as a device keeps them.

    elements: [n, dim], the numbers of the format; FP16 and FP8 as float16, integers as int8.
    scales: float16 [n], None where the format has none.
    """

    form: Format
    elements: np.ndarray
    scales: np.ndarray | None

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, index: np.ndarray | slice | int) -> np.ndarray:
        """Elements of some vectors."""
        return self.elements[index]

    def numbers(self, part: slice = slice(None)) -> np.ndarray:
        """What elements and scales stand for, exact: float16, or float32 [n, dim] with scales."""
        if self.scales is None:
            return self.elements[part]
        return self.elements[part].astype(np.float32) * self.scales[part, None].astype(np.float32)


def stored_format(model: ModelSpec) -> Format:
    """How a model's K and V are stored: bf16 as FP16, everything else as its KV dtype says."""
    return FORMATS[model.kv_dtype.replace("bf16", "fp16")]


def quantise(vectors: np.ndarray, form: Format) -> tuple[Stored, int]:
    """Float16 vectors [n, dim] in a format, and how many numbers it clipped."""
    if not form.scaled:
        if form is FP16:
            return Stored(form, vectors, None), 0
        clipped = int(np.count_nonzero(np.abs(vectors) > form.largest))
        width = -(-vectors.shape[1] // form.pack) * form.pack
        whole = np.zeros((len(vectors), width), np.float32)
        whole[:, : vectors.shape[1]] = vectors
        nearest = form.decode(form.encode(whole))[:, : vectors.shape[1]]
        return Stored(form, nearest.astype(np.float16), None), clipped
    numbers = vectors.astype(np.float64)
    scales = (np.abs(numbers).max(axis=1, initial=0.0) / form.largest).astype(np.float16)
    divisor = np.where(scales == 0, 1, scales).astype(np.float64)[:, None]
    elements = np.rint(numbers / divisor)
    inside = np.clip(elements, -form.largest, form.largest)
    clipped = int(np.count_nonzero(inside != elements))  # where a scale is subnormal
    return Stored(form, inside.astype(np.int8), scales), clipped


def concatenate(parts: list[Stored]) -> Stored:
    """Vectors one after the other."""
    scales = [p.scales for p in parts if p.scales is not None]
    return Stored(
        parts[0].form,
        np.concatenate([p.elements for p in parts]),
        np.concatenate(scales) if scales else None,
    )
