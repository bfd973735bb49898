"""Sweep files: what they ask for, and every fault with its place and a hint."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pamsim.batch.axis import Distribution
from pamsim.batch.condition import read_condition
from pamsim.batch.expand import Expansion, assignments
from pamsim.batch.key import contexts_of
from pamsim.batch.sample import quantiles
from pamsim.batch.sweep import read_sweep
from pamsim.errors import InputError, InputErrors

NFAW = "tiers.hbm.device.timing.nFAW"


def sweep_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return path


def values_of(tmp_path: Path, axis: str) -> list[object]:
    """Values of `context` when it is written so."""
    text = f"model: llama-3-8b\nworkload: {{context: {axis}}}\n"
    return [one["context"] for one in assignments(read_sweep(sweep_of(tmp_path, text)))]


def faults_of(tmp_path: Path, text: str) -> list[str]:
    """Every fault that reading and expanding finds, without the file's directory."""
    path = sweep_of(tmp_path, text)
    with pytest.raises(InputError) as error:
        expansion = Expansion(read_sweep(path))
        assert expansion.points
        expansion.check()
    found = error.value.errors if isinstance(error.value, InputErrors) else (error.value,)
    return [str(fault).replace(f"{tmp_path}/", "") for fault in found]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("512", [512]),
        ("[512, 100]", [512, 100]),
        ("{from: 1, to: 10, step: 4}", [1, 5, 9]),
        ("{from: 1, to: 9, step: 4}", [1, 5, 9]),
        ("{from: 1024, to: 65536, factor: 4}", [1024, 4096, 16384, 65536]),
        ("{from: 1, to: 9, count: 5}", [1, 3, 5, 7, 9]),
        ("{from: 7, to: 9, count: 1}", [7]),
    ],
)
def test_axes(tmp_path: Path, axis: str, expected: list[int]) -> None:
    assert values_of(tmp_path, axis) == expected


def test_decimal_steps_are_exact(tmp_path: Path) -> None:
    """Ten steps of 0.1 end at 1 exactly, which sums of binary fractions miss."""
    text = ("model: m\nworkload: {context: 8}\n"
            "set: {host.compute_utilisation: {from: 0.1, to: 1, step: 0.1}}\n")  # fmt: skip
    found = [one["host.compute_utilisation"] for one in
             assignments(read_sweep(sweep_of(tmp_path, text)))]  # fmt: skip
    assert found == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]


def test_log_range_keeps_its_ends(tmp_path: Path) -> None:
    text = ("model: m\nworkload: {context: 8}\n"
            "set: {a.b: {from: 1, to: 100, count: 3, scale: log}}\n")  # fmt: skip
    found = [one["a.b"] for one in assignments(read_sweep(sweep_of(tmp_path, text)))]
    assert found[0] == 1 and found[2] == 100 and math.isclose(found[1], 10)  # type: ignore[arg-type]


def test_product_zip_and_condition(tmp_path: Path) -> None:
    text = f"""
model: [llama-3-8b, llama-2-7b]
workload: {{context: [1024, 2048, 4096], batch: [4, 2, 1]}}
set: {{{NFAW}: [16, 24]}}
zip: [context, batch]
where:
  - model == 'llama-3-8b' or nFAW > 16
  - context * batch / 4096 == 1 and not (context < 2000)
"""
    found = [(p.spec["labels"]["model"], *p.spec["contexts"][0], p.spec["labels"][NFAW])
             for p in Expansion(read_sweep(sweep_of(tmp_path, text))).points]  # fmt: skip
    # 2 models x 3 zipped x 2, less contexts below 2000, less (llama-2-7b, 16).
    assert found == [
        ("llama-3-8b", 2048, 2, 16),
        ("llama-3-8b", 2048, 2, 24),
        ("llama-3-8b", 4096, 1, 16),
        ("llama-3-8b", 4096, 1, 24),
        ("llama-2-7b", 2048, 2, 24),
        ("llama-2-7b", 4096, 1, 24),
    ]


def test_samples_are_drawn_together_and_crossed_with_the_rest(tmp_path: Path) -> None:
    text = f"""
model: [llama-3-8b, llama-2-7b]
workload: {{context: {{log_integer: [64, 4096]}}, batch: {{choice: [1, 2]}}}}
set: {{{NFAW}: {{integer: [12, 30]}}, tiers.hbm.link.latency: {{uniform: [20, 400], step: 20, unit: ns}}}}
sample: {{method: latin-hypercube, count: 10, seed: 4}}
"""  # noqa: E501
    points = Expansion(read_sweep(sweep_of(tmp_path, text))).points
    assert len(points) == 20
    first, second = points[:10], points[10:]
    assert [p.spec["overrides"] for p in first] == [p.spec["overrides"] for p in second]
    again = Expansion(read_sweep(sweep_of(tmp_path, text))).points
    assert [p.key for p in points] == [p.key for p in again]
    # Latin: the ten draws of a two-way choice are five of each.
    assert sorted(p.spec["contexts"][0][1] for p in first) == [1] * 5 + [2] * 5
    latencies = [p.spec["labels"]["tiers.hbm.link.latency"] for p in first]
    assert all(v in range(20, 401, 20) for v in latencies)
    assert f"tiers.hbm.link.latency={latencies[0]} ns" in first[0].spec["overrides"]


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_latin_hypercube_has_one_value_in_each_part(count: int) -> None:
    table = quantiles("latin-hypercube", count, 3, seed=11)
    for column in table.T:
        assert sorted(np.floor(column * count).astype(int)) == list(range(count))
    assert count == 1 or not np.array_equal(np.argsort(table[:, 0]), np.argsort(table[:, 1]))


def test_random_quantiles_are_uniform() -> None:
    column = quantiles("random", 20_000, 1, seed=5)[:, 0]
    # Mean of a uniform sample: standard error sqrt(1 / 12 / 20000) = 0.00204; 5 of them.
    assert abs(column.mean() - 0.5) < 0.0103 and column.min() >= 0 and column.max() < 1
    assert abs((column < 0.25).mean() - 0.25) < 0.0154  # sqrt(0.25 x 0.75 / 20000) x 5


def test_distributions_reach_both_ends() -> None:
    top = np.nextafter(1, 0)
    assert [Distribution("integer", (3, 5)).at(q) for q in (0, 0.5, top)] == [3, 4, 5]
    assert [Distribution("log_integer", (1, 8)).at(q) for q in (0, top)] == [1, 8]
    assert [Distribution("choice", ("a", "b")).at(q) for q in (0, top)] == ["a", "b"]
    assert Distribution("log_uniform", (1, 100)).at(0.5) == pytest.approx(10)


CONDITIONS = {"context": 1024, "batch": 4, "model": "opt-13b", "a.b.nRP": 19, "a.b.share": 0.1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("context <= 1024", True),
        ("1000 < context < 1024", False),
        ("context * batch == 4096", True),
        ("nRP + 1 == 20 and share * 10 == 1", True),  # exactly: 0.1 is a tenth
        ("a.b.nRP > 19 or model != 'opt-13b'", False),
        ("not max(batch, 8) == 8", False),
        ("ceil(context / 1000) == 2", True),
        ("-batch < 0", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert read_condition(text, CONDITIONS, None)(CONDITIONS) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("context", "condition must compare"),
        ("contxt < 4", "name must be a field of the sweep, not 'contxt' (did you mean 'context'?)"),
        ("context in (1, 2)", "comparison must be one of < <= > >= == !=, not In"),
        ("__import__('os') == 1", "expression must be arithmetic"),
        ("model < 'x'", "text must be compared by == or !="),
        ("context ** 2 > 4", "operator must be one of + - * /, not **"),
        ("a.b.c.nope == 1", "name must be a field of the sweep, not 'a.b.c.nope'"),
        ("(lambda: 1)() == 1", "must be"),
        ("context < ", "condition must be a comparison, not 'context < '"),
        ("not " * 40 + "context < 1", "context"),
        (5, "condition must be text"),
    ],
)
def test_conditions_that_cannot_be(text: object, message: str) -> None:
    try:
        read_condition(text, CONDITIONS, None)
    except InputError as error:
        assert message in str(error)
    else:
        assert str(text).startswith("not not"), "only nesting that is shallow enough may pass"


def test_division_by_zero_is_said_with_its_place(tmp_path: Path) -> None:
    text = "model: llama-3-8b\nworkload: {context: 8, batch: [2, 1]}\nwhere: 8 / (batch - 1) > 1\n"
    assert faults_of(tmp_path, text) == ["divisor must not be 0 [sweep.yaml:3:8]"]


def test_every_fault_at_once_with_its_place(tmp_path: Path) -> None:
    text = """modle: llama-3-8b
model: llama-3-8b
workload:
  context: [512, -4]
  batch: {from: 1, to: 8, stpe: 2}
  contxt: 5
validate: of
set:
  tiers.hbm.device.timing.nFAW: []
  tiers.hbm.device.timing.nRP: {uniform: [2]}
zip: [[context, seeed]]
where: [contex < 5]
"""
    assert faults_of(tmp_path, text) == [
        "key must be a known one, not 'modle' [sweep.yaml:1:1] (did you mean 'model'?)",
        "context must be a whole number from 1 to 1073741824, not -4 [sweep.yaml:4:18]",
        "key of batch must be one of a range or a distribution, not 'stpe' [sweep.yaml:5:27] "
        "(did you mean 'step'?)",
        "key of workload must be a known one, not 'contxt' [sweep.yaml:6:3] "
        "(did you mean 'context'?)",
        "validate must be one of full, default, off, not 'of' [sweep.yaml:7:11] "
        "(did you mean 'off'?)",
        f"{NFAW} must have at least one value, not an empty list [sweep.yaml:9:33]",
        "uniform of tiers.hbm.device.timing.nRP must have two ends, not 1 [sweep.yaml:10:42]",
        "zip must be of fields of the sweep, not 'seeed' [sweep.yaml:11:17] (did you mean 'seed'?)",
        "name must be a field of the sweep, not 'contex' [sweep.yaml:12:9] "
        "(did you mean 'context'?)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: llama-3-8c\nworkload: {context: 8}\n",
         ["model must be a preset or a config.json, not 'llama-3-8c' [sweep.yaml:1:8] "
          "(did you mean 'llama-3-8b'?)"]),
        ("model: [opt-13b, opt-14b]\nsystem: pam-hmb\nworkload: {context: 8}\n",
         ["model must be a preset or a config.json, not 'opt-14b' [sweep.yaml:1:18] "
          "(did you mean 'opt-13b'?)",
          "system must be a known name or a YAML file, not 'pam-hmb' [sweep.yaml:2:9] "
          "(did you mean 'pam-hbm'?)"]),
        (f"model: opt-13b\nworkload: {{context: 8}}\nset:\n  {NFAW}x: [1, 2]\n",
         ["tiers.hbm.device.timing must have the key 'nFAWx' to set it, in "
          f"{NFAW}x=1, and 1 more values likewise [sweep.yaml:4:34] (did you mean 'nFAW'?)"]),
        ("workload: {context: 8, trace: x.csv}\n",
         ["model must be given [sweep.yaml:1:1]",
          "workload must have one of context, contexts and trace, not context and trace "
          "[sweep.yaml:1:11]"]),
        ("model: opt-13b\nworkload: {context: {integer: [1, 5]}}\n",
         ["distribution of context must go with sample [sweep.yaml:2:21]"]),
        ("model: opt-13b\nworkload: {context: [1, 2], batch: [1, 2, 3]}\nzip: [context, batch]\n",
         ["zip must be of fields with equally many values, not context 2, batch 3 "
          "[sweep.yaml:3:6]"]),
        ("model: opt-13b\nworkload: {context: 8}\nwhere: context > 8\n",
         ["sweep must have points, not none: no combination meets `where` [sweep.yaml:3:8]"]),
        ("model: opt-13b\nworkload:\n  context: {from: 1, to: 2000, step: 1}\n"
         "  batch: {from: 1, to: 2000, step: 1}\n",
         ["sweep must have at most 1000000 combinations, not 4000000 [sweep.yaml:1:1]"]),
        ("- model\n", ["sweep must be a mapping of keys to values, not a list [sweep.yaml:1:1]"]),
        ("model: opt-13b\nworkload: {trace: none.csv}\n",
         ["trace must be readable: No such file or directory [none.csv]"]),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults_of(tmp_path, text) == expected


def test_batches_from_a_trace_beside_the_sweep_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("num_prefill_tokens,num_decode_tokens\n100,50\n4997,53\n")
    text = """
model: llama-3-8b
workload: {trace: t.csv, batch: [2, 8], draws: 3, draw_seed: 9, max_context: [5050, 200]}
"""
    points = Expansion(read_sweep(sweep_of(tmp_path, text))).points
    assert len(points) == 12  # 2 batches x 3 draws x 2 limits
    for point in points:
        contexts, labels = contexts_of(point.spec["contexts"]), point.spec["labels"]
        assert len(contexts) == labels["batch"] and max(contexts) <= labels["max_context"]
    assert len({point.key for point in points}) == 12


def test_contexts_of_each_request(tmp_path: Path) -> None:
    text = "model: llama-3-8b\nworkload: {contexts: [[512, 512, 9], [7]]}\n"
    points = Expansion(read_sweep(sweep_of(tmp_path, text))).points
    assert [contexts_of(p.spec["contexts"]) for p in points] == [(512, 512, 9), (7,)]


def test_keys_follow_from_what_changes_results(tmp_path: Path) -> None:
    base = "model: llama-3-8b\nworkload: {context: 512, batch: 2}\n"

    def key(text: str) -> str:
        (point,) = Expansion(read_sweep(sweep_of(tmp_path, text))).points
        return point.key

    same = "# a comment\nname: other\nmodel: llama-3-8b\nworkload: {contexts: [512, 512]}\n"
    assert key(base) == key(same)
    others = [
        base.replace("512", "513"),
        base.replace("batch: 2", "batch: 3"),
        base.replace("llama-3-8b", "llama-2-7b"),
        base + "seed: 1\n",
        base + "validate: off\n",
        base + "system: pam-hbm-gqa\n",
        base + f"set: {{{NFAW}: 17}}\n",
        base + "set: {tiers.hbm.device: hbm3-6400}\n",
    ]
    assert len({key(text) for text in [base, *others]}) == 1 + len(others)


def test_keys_follow_the_content_of_files(tmp_path: Path) -> None:
    """A description that a name in `set` leads to is resolved, not hashed by its name."""
    device = tmp_path / "mine.yaml"
    text = "model: llama-3-8b\nworkload: {context: 512}\nset: {tiers.hbm.device: ./mine.yaml}\n"
    keys = set()
    for value in (16, 20):
        constant = f"{{value: {value}, unit: CK, source: 'assumption: a test', range: [1, 99]}}"
        device.write_text(f"extends: hbm3-pam\ntiming: {{nFAW: {constant}}}\n")
        from pamsim.batch import key

        key._base_digest.cache_clear()
        keys.add(Expansion(read_sweep(sweep_of(tmp_path, text))).points[0].key)
    assert len(keys) == 2


def test_a_hundred_thousand_points(tmp_path: Path) -> None:
    text = ("model: [llama-3-8b, llama-2-7b]\nworkload: {context: {from: 16, to: 16000, step: 16}, "
            "batch: {from: 1, to: 50, step: 1}}\n")  # fmt: skip
    expansion = Expansion(read_sweep(sweep_of(tmp_path, text)))
    assert len(expansion.points) == 100_000
    assert expansion.check() == (1, 1)  # one machine, checked in full
