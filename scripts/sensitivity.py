"""Writes docs/sensitivity.md: how far a result moves with each value that no source states.

Every assumed constant of a system is set to both ends of its range, or to its other choices, and
the decode step is compiled and simulated anew. With --check nothing is written; exit code 1 says
that the page is stale. Exit code 2: an assumption cannot be varied, and the page would hide it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pamsim.compiler import compile_parts
from pamsim.config import Constant, config_constants, list_configs, load_document, load_system
from pamsim.energy import account
from pamsim.errors import InputError, InputErrors, PamsimError
from pamsim.model import load_model
from pamsim.report.assumptions import assumptions
from pamsim.system import simulate_parts, step_timeline
from pamsim.workload import make_step

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sensitivity.md"
SYSTEM = "pam-hbm"
PREFIX = "assumption: "


@dataclass(frozen=True)
class Job:
    """A decode step of `batch` requests with `context` KV tokens each, on a system."""

    model: str
    context: int
    batch: int
    system: str = SYSTEM
    overrides: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        sets = "".join(f", {o}" for o in self.overrides)
        return f"{self.model} on {self.system}, context {self.context}, batch {self.batch}{sets}"


JOBS = (Job("llama-3-8b", 8192, 4), Job("llama-2-7b", 4096, 4))
# Attention is several times shorter with this reading of the buffer: the same constants weigh more.
GQA_JOB = replace(JOBS[0], system="pam-hbm-gqa")


# Machines with constants of their own; only those that no job above has are varied there.
ONE_INSTANCE = ("instances=1", "tensor_parallel=1", "pipeline_parallel=1")
TIERS = ("tiers.hbm.kv_gib=0.5", "tiers.ddr.kv_gib=1")  # of the 1.95 GiB of KV cache
OTHER_JOBS = (
    Job("llama-3-8b", 4000, 4, "pam-node", (*ONE_INSTANCE, *TIERS)),
    *(Job("llama-3-8b", 4000, 4, s) for s in ("pam-hbm2e", "pam-hbm3e", "pam-hbm4", "pam-hbm-seq")),
    Job("llama-2-7b", 1000, 4, "aim"),
)


@dataclass(frozen=True)
class Alternative:
    """Another named reading: a system, or overrides of SYSTEM; `words` describe it."""

    system: str
    overrides: tuple[str, ...]
    words: str

    @property
    def option(self) -> str:
        """How the command line asks for it."""
        sets = [f"--set {o}" for o in self.overrides]
        return " ".join(([f"--system {self.system}"] if self.system != SYSTEM else []) + sets)


def alternatives() -> tuple[Alternative, ...]:
    """Presets beside SYSTEM, and a published value that it does not take (docs/decisions.md)."""
    device = "tiers.hbm.device"
    energy = "hbm3-pu-3x-read"
    return (
        Alternative("pam-hbm-gqa", (), load_document("system", "pam-hbm-gqa").description
                    + ": 512 B of PU buffer for each query head of a KV head's group"),
        Alternative("pam-hbm-6400", (), load_document("system", "pam-hbm-6400").description
                    + ": " + load_document("device", "hbm3-6400").description),
        Alternative(SYSTEM, (f"{device}.energy={energy}",),
                    load_document("energy", energy).description),
        Alternative(SYSTEM, (f"{device}.timing.nRTW=3",),
                    "read to write as in AttAcc's preset (docs/decisions.md, row 9)"),
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a run says: the step, attention in memory over all layers, energy of the step."""

    step_ps: int
    attention_ps: int
    energy_pj: float

    def percent_of(self, base: Outcome) -> tuple[float, float, float]:
        """Change against `base`: step, attention, energy."""

        def change(now: float, then: float) -> float:
            return 100 * (now - then) / then

        return (
            change(self.step_ps, base.step_ps),
            change(self.attention_ps, base.attention_ps),
            change(self.energy_pj, base.energy_pj),
        )


def evaluate(job: Job, overrides: Sequence[str] = ()) -> Outcome:
    """One step, without proofs, as `pamsim run --validate off` does it.

    Raises PamsimError for an override that is refused, and where the energy is not known.
    """
    spec = load_system(job.system, (*job.overrides, *overrides))
    model, step = load_model(job.model), make_step(job.context, job.batch)
    runs = simulate_parts(compile_parts(model, step, spec), threads=1)
    result = step_timeline(spec, model, step, runs)
    energy = account([r.part.step for r in runs], [r.runs for r in runs], spec, result.activity)
    if energy.total_pj is None:
        raise PamsimError(f"energy of {job.title} must be known, not lack {energy.missing}")
    return Outcome(result.latency_ps, sum(t.attention_ps for t in result.tiers), energy.total_pj)


@dataclass(frozen=True)
class Variation:
    """An assumed constant and the values it is set to: the ends of its range, low first, or its
    other choices; as text that follows KEY=."""

    constant: Constant
    values: tuple[str, ...]

    @property
    def overrides(self) -> tuple[str, ...]:
        return tuple(f"{self.constant.name}={v}" for v in self.values)

    @property
    def shown_range(self) -> str:
        c = self.constant
        if c.range is None:
            return ", ".join(c.choices)
        unit = "" if c.unit == "1" else f" {c.unit}"
        return f"{c.range[0]:g} to {c.range[1]:g}{unit}"


def vary(constant: Constant) -> Variation:
    """The values of an assumed constant; none where its only choice is the one it has."""
    if constant.range is not None:
        unit = "" if constant.unit == "1" else f" {constant.unit}"
        return Variation(constant, tuple(f"{end:g}{unit}" for end in constant.range))
    return Variation(constant, tuple(c for c in constant.choices if c != written(constant)))


def written(constant: Constant) -> str:
    """The value as YAML has it, with its unit."""
    if isinstance(constant.value, bool | str):
        return str(constant.value).lower()
    return f"{constant.value:g}" + ("" if constant.unit == "1" else f" {constant.unit}")


def variations(system: str = SYSTEM, overrides: tuple[str, ...] = ()) -> tuple[Variation, ...]:
    """Every assumed constant of a system and of all that it names."""
    constants = config_constants("system", system, overrides)
    return tuple(vary(c) for c in constants if c.assumed)


def bare(name: str) -> str:
    """A constant's name without the tier that it is of: one device may stand in several."""
    parts = name.split(".")
    return ".".join(parts[2:] if parts[0] == "tiers" else parts)


def new_of(job: Job, known: set[str]) -> tuple[Variation, ...]:
    """The variations of a job that no job before it has."""
    found = variations(job.system, job.overrides)
    return tuple(v for v in found if bare(v.constant.name) not in known)


def faults(known: Iterable[Variation]) -> list[str]:
    """Assumptions that the page cannot show: without range and choices, or outside their range
    (then value and range are not in the same unit)."""
    found = []
    for constant in (v.constant for v in known):
        name, value, ends = constant.name, constant.value, constant.range
        if ends is None and not constant.choices:
            found.append(f"{name} must have a range or choices, being an assumption")
        if ends is not None and (isinstance(value, str) or not ends[0] <= value <= ends[1]):
            found.append(f"{name} must be from {ends[0]:g} to {ends[1]:g}, not {written(constant)}")
    return found


def others(known: set[str]) -> list[tuple[str, Variation]]:
    """(preset, variation) of every assumed constant of a preset that no job has."""
    prefixes = (("device", "device."), ("energy", "device.energy."), ("host", "host."),
                ("link", "link."))  # fmt: skip
    return [
        (f"{kind} {preset}", vary(c))
        for kind, prefix in prefixes
        for preset in list_configs(kind)
        for c in config_constants(kind, preset)
        if c.assumed and prefix + c.name not in known
    ]


@dataclass(frozen=True)
class Row:
    """A variation, its outcomes in the order of its values, and their changes in percent."""

    variation: Variation
    outcomes: tuple[Outcome, ...]
    percents: tuple[tuple[float, float, float], ...]

    @property
    def largest(self) -> float:
        return max(abs(p) for percents in self.percents for p in percents)


def rows_of(job: Job, base: Outcome, varied: Iterable[Variation]) -> list[Row]:
    """A row for each constant that has another value, the largest effect first.

    A value that other constants contradict (an nRRDS above nRRDL) is left out.
    """
    rows = []
    for v in varied:
        taken = {}
        for value, override in zip(v.values, v.overrides, strict=True):
            with suppress(InputError, InputErrors):
                taken[value] = evaluate(job, (override,))
        if taken:
            outcomes = tuple(taken.values())
            own = replace(v, values=tuple(taken))
            rows.append(Row(own, outcomes, tuple(o.percent_of(base) for o in outcomes)))
    return sorted(rows, key=lambda r: (-r.largest, r.variation.constant.name))


def together(rows: Iterable[Row], base: Outcome, pick: Callable[..., Outcome]) -> tuple[str, ...]:
    """Overrides that take from each row the value that `pick` (min or max) takes by step, then by
    energy; none where that is the value it has."""
    chosen = []
    for row in rows:
        best = pick((base, *row.outcomes), key=lambda o: (o.step_ps, o.energy_pj))
        if best != base:
            chosen.append(row.variation.overrides[row.outcomes.index(best)])
    return tuple(chosen)


def percent(change: float) -> str:
    """With its sign; "0" only for no change at all."""
    if not change:
        return "0"
    sign = "+" if change > 0 else "−"
    return f"{sign}{abs(change):.2f}" if abs(change) >= 0.005 else f"{sign}<0.01"


def short(override: str) -> str:
    """KEY=VALUE with the last part of the key."""
    key, _, value = override.partition("=")
    return f"{key.split('.')[-1]}={value}"


def table(head: Sequence[str], body: Iterable[Sequence[str]], numbers: int) -> str:
    """A Markdown table; the last `numbers` columns are set right."""
    align = ["---"] * (len(head) - numbers) + ["--:"] * numbers
    lines = [head, align, *([cell.replace("|", "\\|") for cell in row] for row in body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def job_section(job: Job, base: Outcome, varied: Iterable[Variation]) -> str:
    """The table of one job, and what all constants do together."""
    rows = rows_of(job, base, varied)

    def cells(percents: Sequence[tuple[float, float, float]]) -> list[str]:
        return [" / ".join(percent(p[i]) for p in percents) for i in range(3)]

    body = []
    for row in rows:
        c = row.variation.constant
        source = c.source.removeprefix(PREFIX)
        head = [f"`{c.name}`", written(c), row.variation.shown_range, source]
        body.append(head + cells(row.percents))
    joint = []
    for words, pick in (("shortest", min), ("longest", max)):
        overrides = together(rows, base, pick)
        outcome = evaluate(job, overrides).percent_of(base)
        keys = ", ".join(f"`{short(o)}`" for o in overrides)
        joint.append([f"the {words} step: {keys}", *cells([outcome])])
    return "\n\n".join(
        (
            f"## {job.title}",
            f"Base: step {base.step_ps / 1e9:.3f} ms, attention {base.attention_ps / 1e9:.3f} ms, "
            f"energy {base.energy_pj / 1e9:.2f} mJ.",
            table(
                ["constant", "value", "range", "assumption", "step %", "attention %", "energy %"],
                body,
                3,
            ),
            "All constants at once, each at the end that alone makes:",
            table(["", "step %", "attention %", "energy %"], joint, 3),
        )
    )


def alternatives_section(bases: Sequence[Outcome]) -> str:
    """Named alternatives against SYSTEM, for every job."""
    body = []
    for other in alternatives():
        cells = [f"`{other.option}`", other.words]
        for job, base in zip(JOBS, bases, strict=True):
            changes = evaluate(replace(job, system=other.system), other.overrides).percent_of(base)
            cells += [percent(c) for c in changes]
        body.append(cells)
    head = ["alternative", "what it is"]
    for job in JOBS:
        head += [f"{job.model}: {what} %" for what in ("step", "attention", "energy")]
    return "## Named alternatives\n\n" + table(head, body, 3 * len(JOBS))


def others_section(known: set[str]) -> str:
    """What other presets assume beside all that is varied above."""
    by_constant: dict[tuple[str, ...], list[str]] = {}
    for preset, v in others(known):
        c = v.constant
        source = c.source.removeprefix(PREFIX)
        key = (f"`{c.name}`", written(c), v.shown_range, source)
        by_constant.setdefault(key, []).append(preset)
    body = [[*key[:3], ", ".join(presets), key[3]] for key, presets in sorted(by_constant.items())]
    return "\n\n".join(
        (
            "## Assumptions of other presets",
            "No job above has these constants; `pamsim run --set` shows what one does.",
            table(["constant", "value", "range", "presets", "assumption"], body, 0),
        )
    )


def unvaried_section(varied: Iterable[Variation]) -> str:
    """Assumptions that have nothing to vary: constants with one choice, and rules."""
    lines = [
        f"- `{v.constant.name}` = {written(v.constant)}: "
        f"{v.constant.source.removeprefix(PREFIX)}; no other value is built"
        for v in varied
        if not v.values
    ]
    rules = [a["source"] for a in assumptions(load_system(SYSTEM)) if a["name"] == "rule"]
    return "\n\n".join(
        (
            "## Assumptions without a number",
            "These are rules of the model: there is no number to vary, so no row above bounds what "
            "they do to a result. Every result names them under `assumptions`.",
            "\n".join([*lines, *(f"- {rule}" for rule in rules)]),
        )
    )


HEAD = f"""\
<!-- Generated by `make sensitivity`; do not edit. -->

# Sensitivity to assumptions

What no source states is an assumption with a range. Here every assumed constant of `{SYSTEM}` \
(and, below, of `{GQA_JOB.system}`) is set, alone, to both ends of its range or to its other \
choices, and the step is compiled, simulated and accounted anew.

- Changes are in percent of the base run: at the low end / at the high end, or at the other \
choice. `0` is no change at all. An end may be the value itself. One that other constants \
contradict is left out.
- Attention is attention in memory over all layers, without transfers and the merging of split \
heads.
- Rows are sorted by their largest change. Values between the ends are not run. A change need \
not be monotonic, and changes need not add up: commands of the bank groups interleave differently.
- `pamsim run --set KEY=VALUE` sets a constant by the key in the first column."""


def render() -> str:
    """The page. Raises PamsimError where a value is refused."""
    varied = variations()
    bases = [evaluate(job) for job in JOBS]
    sections = [job_section(job, base, varied) for job, base in zip(JOBS, bases, strict=True)]
    sections.append(alternatives_section(bases))
    sections.append(job_section(GQA_JOB, evaluate(GQA_JOB), variations(GQA_JOB.system)))
    known = {bare(v.constant.name) for v in varied}
    for job in OTHER_JOBS:
        own = new_of(job, known)
        known |= {bare(v.constant.name) for v in own}
        sections.append(job_section(job, evaluate(job), own))
    sections.append(others_section(known))
    sections.append(unvaried_section(varied))
    return "\n\n".join((HEAD, *sections)) + "\n"


def main() -> int:
    """Exit code 0, 1 where --check found the page stale, 2 where an assumption cannot be varied."""
    try:
        every = [*variations(), *(v for j in OTHER_JOBS for v in variations(j.system, j.overrides))]
        found = faults([*every, *(v for _, v in others(set()))])
        text = "" if found else render()
    except PamsimError as error:
        found = [str(error)]
    if found:
        print("\n".join(found), file=sys.stderr)
        return 2
    shown = PAGE.relative_to(ROOT)
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{shown} is stale: run `make sensitivity`", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
