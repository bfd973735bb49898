"""docs/fidelity.md, part 4: the jobs of AttAcc's and AiM's public simulators."""

from __future__ import annotations

from pamsim.compiler import compile_step
from pamsim.config import load_device, load_system
from pamsim.model.spec import ModelSpec
from pamsim.sim import simulate
from pamsim.sim.program import run_program
from pamsim.workload import make_step
from pim_isa import assemble

ATTACC_CK, AIM_CK = 16_161, 231_383  # docs/fidelity-attacc.md, docs/fidelity-aim.md
AIM_PROGRAM = "LOOP count=1024 row_step=1\n MAC_ABK row=0 size=64\nEND"


def fields() -> dict[str, str]:
    attacc, aim = attacc_ck("attacc-sim"), aim_ck("gddr6-aim-norefresh")
    return {
        "attacc_ck": f"{attacc:,}",
        "attacc_difference": f"{100 * (attacc / ATTACC_CK - 1):+.2f} %",
        "attacc_physical_ck": f"{attacc_ck('attacc'):,}",
        "aim_ck": f"{aim:,}",
        "aim_difference": f"{100 * (aim / AIM_CK - 1):+.4f} %".replace("-", "−"),
        "aim_refreshed_ck": f"{aim_ck('gddr6-aim'):,}",
        "aim_program": "`" + "; ".join(line.strip() for line in AIM_PROGRAM.splitlines()) + "`",
    }


def attacc_ck(device: str) -> int:
    """Attention of 64 heads of 128 elements over 2,048 tokens on one stack; a tick is a CK."""
    heads = ModelSpec(
        name="64 heads", architecture="any", layers=1, hidden=64, query_heads=64, kv_heads=64,
        head_dim=128, ffn_hidden=64, ffn_matrices=2, vocabulary=100, max_context=2048, dtype="fp16",
    )  # fmt: skip
    one = ("tiers.hbm.devices=1", "instances=1", "tensor_parallel=1")
    system = load_system("attacc", (f"tiers.hbm.device={device}", *one))
    runs = simulate(compile_step(heads, make_step(2048, 1), system), threads=1)
    return max(run.result.ticks for run in runs)


def aim_ck(device: str) -> int:
    """MAC_ABK over 1,024 rows of a channel; a tick is a CK."""
    program = assemble(f".family aim\n.stream\n{AIM_PROGRAM}\n")
    return run_program(program, load_device(device), log=False).result.ticks
