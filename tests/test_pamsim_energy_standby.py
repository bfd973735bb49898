"""Standby of every family: each node that a constant is of, once, for the whole step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pamsim.compiler import compile_parts
from pamsim.config import load_device, load_system
from pamsim.config.spec import SystemSpec
from pamsim.energy import account
from pamsim.energy.program import program_account
from pamsim.model.spec import ModelSpec
from pamsim.sim.program import run_program
from pamsim.system import simulate_parts, step_timeline
from pamsim.workload.step import DecodeStep
from pim_isa import assemble

MODEL = ModelSpec(
    name="small", architecture="LlamaForCausalLM", layers=2, hidden=64, query_heads=2, kv_heads=1,
    head_dim=64, ffn_hidden=64, ffn_matrices=3, vocabulary=100, max_context=4096, dtype="fp16",
)  # fmt: skip
STEP = DecodeStep((200, 40))


def machine(system: str, device: str) -> SystemSpec:
    """One instance of a system with one of its devices, of another kind."""
    found = load_system(system)
    (tier,) = found.tiers
    tier = replace(tier, device=load_device(device), devices=1)
    return replace(found, tiers=(tier,), instances=1, tensor_parallel=1)


@pytest.mark.parametrize(
    ("system", "device", "node", "nodes"),
    [
        # nodes of a device: 16 channels of HBM3 with two pseudo-channels each (JESD238) ...
        ("pam-hbm", "hbm3-pam", "pseudo-channel", 32),
        # ... which AttAcc's constants take together, whatever its ranks
        ("attacc", "attacc", "channel", 16),
        ("attacc", "attacc-npc", "channel", 16),
        # two channels of a GDDR6 chip; without refresh the engine keeps states by bank group
        ("aim", "gddr6-aim", "channel", 2),
        ("aim", "gddr6-aim-norefresh", "channel", 2),
        # a DIMM is one channel of two ranks (PAM, Table 1)
        ("ddr-only", "ddr4-pam", "rank", 2),
    ],
)
def test_every_node_is_charged_once_for_the_whole_step(
    system: str, device: str, node: str, nodes: int
) -> None:
    spec = machine(system, device)
    runs = simulate_parts(compile_parts(MODEL, STEP, spec))
    result = step_timeline(spec, MODEL, STEP, runs)
    steps, channels = [r.part.step for r in runs], [r.runs for r in runs]
    found = account(steps, channels, spec, result.activity).terms
    standby = [t for t in found if t.per.startswith("ns of a") and t.scope != "bank"]
    assert {t.scope for t in standby} == {node}
    assert min(t.count for t in standby) > 0
    # rounded down to a picosecond for each program and state
    assert sum(t.count for t in standby) == pytest.approx(nodes * result.latency_ps / 1000)


def test_both_ranks_of_a_program_s_channel_stand_by() -> None:
    device = load_device("ddr4-pam")
    program = assemble(".family ddr_pim\n.stream rank=0 bg=0\nACT row=0\nPRE\n")
    run = run_program(program, device)
    found = program_account(run, device).terms
    standby = sum(t.count for t in found if t.name.startswith("background"))
    assert standby == pytest.approx(2 * run.result.ticks / 1.6)  # ns: CK of DDR4-3200 is 0.625 ns
