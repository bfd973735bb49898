"""Where the ticks of every stream went, by class and by binding timing rule."""

from __future__ import annotations

from pamsim.sim.run import ChannelRun
from pyramulator.description import TimingRow
from pyramulator.result import STALL_CLASSES

TIMING = "timing"  # waited for a timing rule; the ticks of all of `stall_rules`
STEMS_SHOWN = 4
CLASSES = (*STALL_CLASSES, TIMING)


def stall_classes(run: ChannelRun) -> list[dict[str, int]] | None:
    """Per stream {class: ticks}, every class named; each stream's ticks sum to the run's."""
    stalls = run.result.stalls
    if stalls is None:
        return None
    return [
        {
            **{name: int(stalls.classes[s, i]) for i, name in enumerate(STALL_CLASSES)},
            TIMING: int(stalls.rows[s].sum()),
        }
        for s in range(len(stalls.classes))
    ]


def stall_rules(run: ChannelRun) -> list[dict[str, int]] | None:
    """Per stream {rule: ticks} of the rules that were binding; they sum to class `timing`."""
    stalls = run.result.stalls
    if stalls is None:
        return None
    labels = [rule_label(row) for row in run.description.rows]
    streams = []
    for ticks in stalls.rows:
        rules: dict[str, int] = {}
        for i in ticks.nonzero()[0]:
            rules[labels[i]] = rules.get(labels[i], 0) + int(ticks[i])
        streams.append(dict(sorted(rules.items(), key=lambda item: (-item[1], item[0]))))
    return streams


def rule_label(row: TimingRow) -> str:
    """A timing row as a name: `nRTP: MACbg -> PREbg in a BankGroup`."""
    where = f"siblings in a {row.level}" if row.sibling else f"in a {row.level}"
    last = f" (last {row.window})" if row.window > 1 else ""
    expression = row.rule or f"{row.latency} ticks"
    return f"{expression}: {_stems(row.preceding)}{last} -> {_stems(row.following)} {where}"


def _stems(commands: tuple[str, ...]) -> str:
    """Command names without operands, each once, many cut short: MACbg_q1, MACbg_q2 -> MACbg."""
    stems = list(dict.fromkeys(name.partition("_")[0] for name in commands))
    if len(stems) > STEMS_SHOWN:
        stems[STEMS_SHOWN - 1 :] = [f"{len(stems) - STEMS_SHOWN + 1} more"]
    return ", ".join(stems)
