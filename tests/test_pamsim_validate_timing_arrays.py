"""Random logs: cut in pieces, and against plain loops over the same tables."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from timing_logs import COMMANDS, DEVICE, LEVELS, REFI, Log, depth

from pamsim.config.spec import DeviceSpec
from pamsim.validate.timing import Checker, TimingVerdict, check_log, find_family
from pamsim.validate.timing.rule import Check, PairRule, RowUse, gap_in_ticks, split_operand
from pamsim.validate.timing.table import CommandTable

START = REFI + 401
END = 2 * REFI


def check(log: Log, ticks: int = END, spec: DeviceSpec = DEVICE) -> TimingVerdict:
    return check_log(spec, LEVELS, COMMANDS, log.array, ticks=ticks)


# -- against a scalar reading of the same tables --------------------------------------------------


@st.composite
def logs(draw: st.DrawFn) -> np.ndarray:
    """Logs of any commands anywhere in a few banks, close enough to break rules."""
    log = Log()
    tick = REFI
    for _ in range(draw(st.integers(0, 60))):
        tick += draw(st.integers(0, 40))
        where = tuple(draw(st.tuples(*[st.integers(0, 1)] * 4)))
        name = draw(st.sampled_from(COMMANDS))
        log.add(tick, name, where, draw(st.integers(0, 1)), draw(st.integers(0, 3)))  # type: ignore[arg-type]
    return log.array


@settings(max_examples=60, deadline=None)
@given(logs(), st.lists(st.integers(0, 60), max_size=6))
def test_pieces_make_no_difference(log: np.ndarray, cuts: list[int]) -> None:
    counts = {"RD": 3, "MACbg_q1": 2}
    whole = check_log(DEVICE, LEVELS, COMMANDS, log, ticks=END, expected_counts=counts)
    checker = Checker(DEVICE, LEVELS, COMMANDS, expected_counts=counts)
    for piece in np.split(log, sorted(min(cut, len(log)) for cut in cuts)):
        checker.feed(piece)
    assert checker.finish(END) == whole


def scalar_pairs(log: np.ndarray) -> dict[str, int]:
    """The pairwise rules by two nested loops over the log, wildcards compared as written."""
    family = find_family("hbm_pim")
    table = CommandTable(family, DEVICE, COMMANDS)
    derived = family.derived(DEVICE)
    found: dict[str, int] = {}

    def early(rule: PairRule, before: np.void, after: np.void) -> bool:
        e, f = int(before["command"]), int(after["command"])
        names = (split_operand(COMMANDS[e])[0], split_operand(COMMANDS[f])[0])
        if not any(names[0] in first and names[1] in second for first, second in rule.edges):
            return False
        a, b = before["address"], after["address"]
        for place in range(1, rule.scope + 1):
            if -1 not in (a[place], b[place]) and a[place] != b[place]:
                return False
        if rule.other_sid and a[2] == b[2]:
            return False
        gap = gap_in_ticks(rule.gap, DEVICE, derived, table.durations[e])
        last = before["tick"] + table.ticks[e] - 1
        return bool(after["tick"] + table.ticks[f] - 1 < last + gap)

    for rule in family.pairs:
        for i in range(len(log)):
            if any(early(rule, log[j], log[i]) for j in range(i)):
                found[rule.name] = found.get(rule.name, 0) + 1
    return found


def scalar_rows(log: np.ndarray) -> dict[str, int]:
    """Row state by a loop over the log and a dictionary of banks."""
    family = find_family("hbm_pim")
    uses = {kind.name: kind.row_use for kind in family.kinds}
    state: dict[tuple[int, ...], int] = {}
    found: dict[str, int] = {}
    every = [(p, s, g, b) for p in range(2) for s in range(2) for g in range(4) for b in range(4)]
    for record in log:
        name = split_operand(COMMANDS[record["command"]])[0]
        named = depth(name)
        where = tuple(int(n) for n in record["address"][1 : 1 + named])
        banks = [bank for bank in every if bank[:named] == where]
        open_rows = [state.get(bank) for bank in banks]
        use, row = uses[name], int(record["address"][5])
        broken = None
        if use is RowUse.OPEN and any(r is not None for r in open_rows):
            broken = Check.OPEN_BANK
        elif use is RowUse.REFRESH and any(r is not None for r in open_rows):
            broken = Check.REFRESH_OPEN
        elif use in (RowUse.ACCESS, RowUse.ACCESS_CLOSE):
            if all(r is None for r in open_rows):
                broken = Check.CLOSED_ROW
            elif None in open_rows:
                broken = Check.HALF_OPEN
            elif any(r != row for r in open_rows):
                broken = Check.WRONG_ROW
        if broken is not None:
            rule = family.checks[broken].name
            found[rule] = found.get(rule, 0) + 1
        for bank in banks:
            if use is RowUse.OPEN:
                state[bank] = row
            elif use in (RowUse.CLOSE, RowUse.ACCESS_CLOSE, RowUse.REFRESH):
                state.pop(bank, None)
    return found


@settings(max_examples=40, deadline=None)
@given(logs())
def test_the_arrays_find_what_a_plain_loop_finds(log: np.ndarray) -> None:
    by_rule = check_log(DEVICE, LEVELS, COMMANDS, log, ticks=END).by_rule
    family = find_family("hbm_pim")
    pairs = {rule.name for rule in family.pairs}
    assert {name: n for name, n in by_rule.items() if name in pairs} == scalar_pairs(log)
    state = {
        family.checks[c].name
        for c in (
            Check.OPEN_BANK,
            Check.REFRESH_OPEN,
            Check.CLOSED_ROW,
            Check.HALF_OPEN,
            Check.WRONG_ROW,
        )
    }
    assert {name: n for name, n in by_rule.items() if name in state} == scalar_rows(log)
