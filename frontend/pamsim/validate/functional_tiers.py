"""The functional proof of queries whose tokens lie in several tiers.

Every tier's binaries run on its own tokens, in its own arithmetic, and leave (O, m, l); these are
merged in FP32 in the order of the tiers, as in the first tier's reduction units, and divided once.
The output is held against dense attention over all tokens. An empty part contributes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pamsim.compiler import CompiledPart
from pamsim.validate.functional import (
    FunctionalVerdict,
    Mode,
    make_runner,
    select_pairs,
    verdict_of,
)
from pamsim.validate.functional_data import PairData
from pamsim.validate.functional_judge import Pair, PairResult, Roundings, draw_pair, judge
from pamsim.validate.functional_judge import roundings_of as roundings_of_tier
from pamsim.validate.functional_quantise import Stored
from pamsim.validate.functional_run import PairOutcome, PairRunner, PartialSum
from pim_isa.arithmetic import Saturations


def prove_tiers(
    parts: Sequence[CompiledPart], *, seed: int = 0, mode: Mode = "default", scores: str = "random"
) -> FunctionalVerdict:
    """Proves the parts of one class of layers, one a tier. mode, scores: as `prove_function`."""
    tiers = [_Tier(part) for part in parts]
    shard = parts[0].shard
    contexts = [0] * shard.step.batch
    for tier in tiers:
        for request, tokens in zip(tier.share.requests, tier.share.step.contexts, strict=True):
            contexts[request] += tokens
    pairs = sorted({pair for tier in tiers for pair in tier.select(mode)})
    results, ran = [], set()
    for pair in pairs:
        data = draw_pair(shard.model, pair, contexts[pair[0]], seed, scores)
        results.append(_prove_pair(tiers, pair, data))
        ran |= {sha for tier in tiers for sha in tier.programs(pair)}
    known = {p.sha256 for part in parts for p in part.step.programs}
    total = sum(c > 0 for c in contexts) * shard.model.kv_heads
    tokens = sum(contexts[request] for request, _ in pairs)
    verdict = verdict_of(results, total, ran, known, tokens)
    names = ", ".join(tier.share.tier for tier in tiers)
    return replace(verdict, coverage=f"{verdict.coverage}, over {names}")


class _Tier:
    """One tier's part; pairs are named by the shard's requests."""

    def __init__(self, part: CompiledPart) -> None:
        self.share = part.step.held or part.share
        self.model = part.shard.model
        self.runner: PairRunner = make_runner(part.step, self.model, self.share.append)
        self.local = {request: n for n, request in enumerate(self.share.requests)}

    def pair(self, pair: Pair) -> Pair | None:
        """The pair by the tier's own numbers, None where the tier has none of its tokens."""
        local = self.local.get(pair[0])
        held = local is not None and self.share.step.contexts[local] > 0
        return (local, pair[1]) if held and local is not None else None

    def select(self, mode: Mode) -> list[Pair]:
        own = select_pairs(self.runner, self.model, self.share.step, mode)
        return [(self.share.requests[request], head) for request, head in own]

    def programs(self, pair: Pair) -> set[str]:
        own = self.pair(pair)
        held = () if own is None else self.runner.segments(*own)
        found = (self.runner.program_of(s.channel) for s in held)
        return {program.sha256 for program in found if program is not None}


def _prove_pair(tiers: Sequence[_Tier], pair: Pair, data: PairData) -> PairResult:
    heads = len(data.folded)
    totals = [PartialSum() for _ in range(heads)]
    scores = np.full((heads, data.tokens), np.nan, np.float32)
    saturations, faults = Saturations(), list[str]()
    roundings = []
    used = [(tier, own) for tier in tiers if (own := tier.pair(pair)) is not None]
    for tier, own in used:
        token = tier.share.tokens(own[0])
        if len(used) == 1:
            outcome = tier.runner.run(*own, _part(data, token))
            return judge(roundings_of_tier(tier.runner, own), pair, data, outcome)
        part = tier.runner.run_part(*own, _part(data, token))
        scores[:, token] = part.scores
        for total, left in zip(totals, part.partials, strict=True):
            total.merge(left)
        for name in vars(saturations):
            both = getattr(saturations, name) + getattr(part.saturations, name)
            setattr(saturations, name, both)
        faults += [f"{tier.share.tier}: {fault}" for fault in part.faults]
        roundings.append(roundings_of_tier(tier.runner, own))
    rows = [total.result(saturations) for total in totals]
    if any(len(row) != data.value[0].shape[-1] for row in rows) and not faults:
        faults.append("a query head has no output")
    output = np.zeros((heads, 0), np.float32) if faults else np.stack(rows)
    by = Roundings(
        columns=max(r.columns for r in roundings),
        additions=max(r.additions for r in roundings),
        merges=sum(r.merges for r in roundings) + len(roundings),
        arithmetic=roundings[0].arithmetic,
    )
    return judge(by, pair, data, PairOutcome(output, scores, saturations, tuple(faults)))


def _part(data: PairData, token: np.ndarray) -> PairData:
    """The numbers of some tokens, ascending."""

    def taken(stored: Stored) -> Stored:
        scales = None if stored.scales is None else stored.scales[token]
        return replace(stored, elements=stored.elements[token], scales=scales)

    return replace(data, key=taken(data.key), value=taken(data.value))
