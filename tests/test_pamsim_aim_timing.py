"""GDDR6-AiM: published examples on the engine, and description and checker rules edge by edge."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from pamsim.config import describe, load_device
from pamsim.config.spec import DeviceSpec, ProgramVariants
from pamsim.report.proofs import prove_timing
from pamsim.sim.program import run_program
from pamsim.sim.run import ChannelRun
from pamsim.validate.timing import check_log
from pamsim.validate.timing.aim import FAMILY, KINDS
from pamsim.validate.timing.rule import PairRule, Scope, gap_in_ticks
from pim_isa import assemble
from pyramulator.description import Description
from pyramulator.stream import LOG

DEVICES = ("gddr6-aim", "gddr6-aim-norefresh", "gddr6-aim-staggered")
ROWS = 1024

# The rows that arkhadem/aim_simulator @0f28a07 has in test/micro_*.trace, and the cycles that it
# takes for them on every one of its 32 channels.
MAC = "LOOP count=1024 row_step=1\n MAC_ABK row=0 size=64\nEND"
EWMUL = MAC.replace("MAC_ABK", "EWMUL")
BIAS = """\
LOOP count=1024
  TMOD registers=1
  WR_BIAS bias=4
  TMOD registers=0
  MAC_ABK row=0 size=64
  TMOD registers=1
  RD_MAC gpr=4
  SYNC
  TMOD registers=0
  MAC_ABK row=1 size=64
END"""


@cache
def device(name: str) -> DeviceSpec:
    return load_device(name)


@cache
def run(body: str, name: str) -> ChannelRun:
    return run_program(assemble(f".family aim\n.stream\n{body}\n"), device(name))


@pytest.mark.parametrize(
    ("body", "simulator", "ours"),
    [
        # 1023 rows of 56 + 63 x 2 + 12 + 32, the last to its 64th MAC16, from tick 1, and 1 CK
        (MAC, 231_383, 1023 * 226 + 56 + 126 + 1 + 1),
        # EWMUL16 -> PREA is nCWL + nWR = 39, not nRTP
        (EWMUL, 227_260, 1023 * (25 + 126 + 39 + 32) + 25 + 126 + 1 + 1),
        # two visits of 56 + 126 + 32, four TMOD of 32, four CK to the next head, two for RD_MAC's
        # data; no PREA before the first row
        (BIAS, 576_482, 1024 * (2 * 214 + 4 * 32 + 4 + 2) - 32 + 1),
    ],
)
def test_the_simulators_examples_without_refresh(body: str, simulator: int, ours: int) -> None:
    ticks = run(body, "gddr6-aim-norefresh").result.ticks
    assert ticks == ours
    assert abs(ticks - simulator) <= 0.005 * simulator


def walk(rows: int, columns: int) -> int:
    """The end of `rows` row visits of MAC16 with refresh, by the rules in words of the docs."""
    rcd, rtp, rp, ras, rfc, refi = 56, 12, 32, 54, 210, 3333
    due = refi
    may_open = 1  # the first tick at which ACT16 may issue
    end = 0
    for _ in range(rows):
        left = columns
        while left:
            if due <= may_open:  # it is due before the banks open: they are closed
                may_open = max(due, may_open) + rfc
                due += refi
                continue
            opened = may_open
            mac = opened + rcd  # held until here, whatever falls due
            left -= 1
            while left and mac + 2 < due:
                mac, left = mac + 2, left - 1
            end = mac
            close = max(mac + rtp, opened + ras)
            if left or due <= close:
                close = max(close, due)
                may_open = close + rp + rfc
                due += refi
            else:
                may_open = close + rp
    return end + 1


def test_the_example_with_refresh() -> None:
    found = run(MAC, "gddr6-aim").result
    assert found.ticks == walk(ROWS, 64)
    assert found.counts["REFab"] == found.ticks // 3333


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("body", [MAC, EWMUL, BIAS])
def test_what_the_engine_issues_keeps_the_rules(body: str, name: str) -> None:
    verdict = prove_timing(run(body, name), device(name))
    assert verdict.verdict == "passed", verdict.first


def test_a_staggered_row_takes_three_windows_more() -> None:
    # nRCDRDMAC + 3 x nFAW to the first MAC16 of each row, 1023 times, and of the last
    body = MAC.replace("1024", "8")
    exempt = run(body, "gddr6-aim-norefresh").result.ticks
    assert run(body, "gddr6-aim-staggered").result.ticks == exempt + 8 * 3 * 42


def test_every_command_of_the_family_in_one_program() -> None:
    body = """
      OPEN_SBK bg=0 bank=1 row=3
      MAC_SBK bg=0 bank=1 row=3 size=4
      CLOSE_SBK bg=0 bank=1
      OPEN_4BK bg=2 row=3
      CLOSE_4BK bg=2
      WR_SBK gpr=0 bg=1 bank=2 row=5 size=2
      RD_SBK gpr=2 bg=1 bank=2 row=5 size=2
      COPY_BKGB bg=1 bank=2 row=5 size=2
      COPY_GBBK bg=3 bank=0 row=6 size=2
      WR_ABK gpr=0 row=7 column=3 lane=2
      OPEN_ABK row=8
      MAC_ABK row=8 size=64
      AF row=9
      EWMUL row=8 size=3
      CLOSE_ABK
      TMOD registers=1
      WR_GB gpr=0 size=2
      WR_BIAS bias=0
      RD_MAC gpr=5
      RD_AF gpr=6
      TMOD registers=0
      MAC_ABK row=8 size=2"""
    for name in DEVICES:
        found = run(body, name)
        assert set(found.result.counts) == {k.name for k in KINDS} - {"REFab"}
        assert prove_timing(found, device(name)).verdict == "passed"


# --- the description's rows and the checker's rules, both written from docs/aim-commands.md

PLACES = {"same bank": (0, 0), "same group": (0, 1), "other group": (1, 0)}


def address(name: str, place: tuple[int, int]) -> tuple[int, ...]:
    scope = next(k.scope for k in KINDS if k.name == name)
    return (0, place[0] if scope >= Scope.GROUP else -1, place[1] if scope is Scope.BANK else -1)


def meet(a: tuple[int, ...], b: tuple[int, ...], levels: int) -> bool:
    return all(x == y or -1 in (x, y) for x, y in zip(a[:levels], b[:levels], strict=True))


def of_rows(description: Description, earlier: str, later: str, place: tuple[int, int]) -> int:
    a, b = address(earlier, (0, 0)), address(later, place)
    return max(
        (
            row.latency
            for row in description.rows
            if earlier in row.preceding
            and later in row.following
            and row.window == 1
            and meet(a, b, 1 + description.level_index(row.level))
        ),
        default=0,
    )


def of_rules(spec: DeviceSpec, earlier: str, later: str, place: tuple[int, int]) -> int:
    a, b = address(earlier, (0, 0)), address(later, place)
    levels = {Scope.CHANNEL: 1, Scope.GROUP: 2, Scope.BANK: 3}
    return max(
        (
            gap_in_ticks(rule.gap, spec, FAMILY.derived(spec), None)
            for rule in FAMILY.pairs
            for befores, afters in rule.edges
            if earlier in befores and later in afters and meet(a, b, levels[rule.scope])
        ),
        default=0,
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["gddr6-aim", "gddr6-aim-staggered"])
def test_description_and_rules_agree_on_every_pair(name: str, place: str) -> None:
    spec = device(name)
    description = describe(spec, ProgramVariants())
    names = [k.name for k in KINDS]
    differ = {
        (a, b): (rows, rules)
        for a in names
        for b in names
        # one command a CK is the bus's rule, not a row's
        if (rows := of_rows(description, a, b, PLACES[place]))
        != (rules := of_rules(spec, a, b, PLACES[place]))
    }
    assert differ == {}


@pytest.mark.parametrize("rule", FAMILY.pairs, ids=lambda rule: rule.name)
def test_a_gap_one_too_short_breaks_its_rule(rule: PairRule) -> None:
    spec = device("gddr6-aim-staggered")
    gap = gap_in_ticks(rule.gap, spec, FAMILY.derived(spec), None)
    description = describe(spec, ProgramVariants())
    names = [c.name for c in description.commands]
    for earlier, later in ((a, b) for x, y in rule.edges for a in x for b in y):
        for short in (1, 0):
            log = np.zeros(2, LOG)
            log["tick"] = 100, 100 + gap - short
            log["command"] = names.index(earlier), names.index(later)
            log["address"][:, :3] = address(earlier, (0, 0)), address(later, (0, 0))
            verdict = check_log(spec, description.levels, names, log, ticks=2000)
            assert (rule.name in verdict.by_rule) == bool(short), (earlier, later)
