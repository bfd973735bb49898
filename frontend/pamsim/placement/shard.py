"""Tensor, pipeline and data parallel: what each instance of a machine computes of a step.

Tensor parallel divides the heads and the feed-forward width of every layer, pipeline parallel the
layers, and what instances are left divide the requests (data parallel). Where there are more
tensor-parallel instances than KV heads, several hold the same KV head and divide its query heads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from pamsim.config.spec import SystemSpec
from pamsim.errors import InputError
from pamsim.model.spec import ModelSpec
from pamsim.workload.step import DecodeStep


@dataclass(frozen=True)
class Shard:
    """What `copies` instances compute alike: some heads of some layers for some requests.

    model has the shard's shape, its layers numbered from 0; `layers` has their numbers in the
    whole model. requests: numbers of the step's requests, in the order of step.contexts.
    """

    stage: int  # of the pipeline
    replica: int  # of the data-parallel replicas; the others of its kind are in `copies`
    copies: int
    layers: tuple[int, ...]
    model: ModelSpec
    step: DecodeStep
    requests: tuple[int, ...]


def make_shards(model: ModelSpec, step: DecodeStep, system: SystemSpec) -> tuple[Shard, ...]:
    """The distinct shards of a step: by replica, then by stage.

    Raises InputError where the machine's parallelism does not divide the model.
    """
    tensor, stages = system.tensor_parallel, system.pipeline_parallel
    if system.instances % (tensor * stages):
        raise InputError(
            f"instances of {system.name} must be a multiple of tensor_parallel x "
            f"pipeline_parallel = {tensor * stages}, not {system.instances}"
        )
    if stages > model.layers:
        raise InputError(
            f"pipeline_parallel must be at most the {model.layers} layers of {model.name}, "
            f"not {stages}"
        )
    slice_ = tensor_slice(model, tensor)
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for requests in _replicas(step.batch, system.instances // (tensor * stages)):
        contexts = tuple(step.contexts[r] for r in requests)
        found.setdefault(contexts, []).append(requests)
    return tuple(
        Shard(
            stage=stage,
            replica=number,
            copies=tensor * len(alike),
            layers=layers,
            model=stage_of(slice_, layers, first=stage == 0, last=stage == stages - 1),
            step=DecodeStep(contexts),
            requests=alike[0],
        )
        for number, (contexts, alike) in enumerate(found.items())
        for stage, layers in enumerate(_stages(model.layers, stages))
    )


def tensor_slice(model: ModelSpec, tensor: int) -> ModelSpec:
    """The model as one of `tensor` instances has it. Raises InputError."""
    if tensor == 1:
        return model
    if model.query_heads % tensor:
        raise InputError(
            f"query heads of {model.name} must be a multiple of tensor_parallel = {tensor}, "
            f"not {model.query_heads}"
        )
    kv_heads, rest = divmod(model.kv_heads, tensor)
    if kv_heads == 0 and tensor % model.kv_heads == 0:
        kv_heads, rest = 1, 0  # each KV head is held by several instances
    if rest:
        raise InputError(
            f"KV heads of {model.name} must be a multiple or a divisor of tensor_parallel = "
            f"{tensor}, not {model.kv_heads}"
        )
    experts = model.experts
    return replace(
        model,
        query_heads=model.query_heads // tensor,
        kv_heads=kv_heads,
        ffn_hidden=-(-model.ffn_hidden // tensor),
        vocabulary=-(-model.vocabulary // tensor),
        experts=experts
        and replace(
            experts,
            ffn_hidden=-(-experts.ffn_hidden // tensor),
            shared_ffn_hidden=-(-experts.shared_ffn_hidden // tensor),
        ),
    )


def stage_of(model: ModelSpec, layers: tuple[int, ...], *, first: bool, last: bool) -> ModelSpec:
    """The model as one stage of the pipeline has it: the embedding table lies in the first, the
    language-model head in the last."""
    if first and last:
        return model
    windows, experts = model.layer_windows, model.experts
    return replace(
        model,
        layers=len(layers),
        layer_windows=windows and tuple(windows[n] for n in layers),
        experts=experts
        and replace(
            experts,
            dense_layers=tuple(i for i, n in enumerate(layers) if n in experts.dense_layers),
        ),
        vocabulary=model.vocabulary if first or last else 0,
        tied_embeddings=True,  # one table of that size: the embedding or the head
    )


def _stages(layers: int, stages: int) -> tuple[tuple[int, ...], ...]:
    """Layers of each stage, in order; the first stages have one more where they do not divide."""
    cuts = [-(-layers * stage // stages) for stage in range(stages + 1)]
    return tuple(tuple(range(a, b)) for a, b in pairwise(cuts))


def _replicas(batch: int, replicas: int) -> list[tuple[int, ...]]:
    """Requests of each replica, dealt out in turn; a replica without requests is left out."""
    dealt = [tuple(range(replica, batch, replicas)) for replica in range(replicas)]
    return [requests for requests in dealt if requests]
