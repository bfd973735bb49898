"""Hand-made issue logs for the tests of `pamsim.validate.timing`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from pamsim.config.spec import DeviceSpec, EnergyTable, Organisation, PimUnit
from pyramulator.stream import LOG

LEVELS = ("Channel", "PseudoChannel", "SID", "BankGroup", "Bank", "Row", "Column")

COMMANDS = (
    *("ACT", "PREpb", "PREab", "RD", "WR", "RDA", "WRA", "REFab", "REFpb"),
    *("ACTbg", "PREbg", "MACbg_q1", "MACbg_q4", "WRQ", "MAX_128", "EXP_128", "SUM_128"),
    *("REDBG_128", "REDLD", "RDRES", "SCbg_q1", "SCbg_q4", "CAP_128"),
)

# PAM, arXiv 2602.11521, Table 1
_PAM = {
    **{"nRP": 19, "nRCDRD": 19, "nRCDWR": 19, "nRAS": 45, "nRRDL": 4, "nCCDS": 2, "nCCDL": 4},
    **{"nWR": 21, "nREFI": 5070, "nFAW": 39},
}
# scale-snu/attacc_simulator @c600051 pim_ramulator_src/HBM3-PIM.cpp, HBM3_5.2Gbps;
# nRTW, nCCDR, nPPD and nRFC: the HBM3 class of CMU-SAFARI/ramulator2 2.1 at this clock
_OTHERS = {
    **{"nCL": 19, "nCWL": 6, "nRC": 63, "nBL": 2, "nRRDS": 2, "nRTP": 8, "nWTRS": 8, "nWTRL": 11},
    **{"nRFC": 455, "nRTW": 17, "nCCDR": 3, "nPPD": 2, "nRFCpb": 260, "nRREFD": 11},
}

REFI = 10140  # nREFI = 5070 CK in ticks of half a CK

PIM = PimUnit(
    lanes=16,
    clock_hz=666_000_000,  # PAM, arXiv 2602.11521, section 7.1: PAM-HBM
    buffer_bytes=512,
    buffer_per_query=False,
    exponential_lanes=1,
    exponential_latency_cycles=11,
    maximum_latency_cycles=4,
    sum_latency_cycles=4,
    reduction_lanes=16,
    logic_die_reduction_units=128,
    reduction_compare_cycles=1,
    reduction_buffer_bytes=512,
    logic_die_merge_elements=128,
    min_tile_tokens=16,
    score_dtype="fp16",
    probability_dtype="fp16",
    extra={"packed_lanes": "fixed", "softcap_latency_cycles": 24},
)


def device(family: str = "hbm_pim", drop: str = "", **timing_ck: int) -> DeviceSpec:
    """`hbm3-pam` in numbers: 2 pseudo-channels x 2 SIDs x 4 bank groups x 4 banks."""
    timing = {**_PAM, **_OTHERS, **timing_ck}
    timing.pop(drop, None)
    return DeviceSpec(
        name="hbm3-pam",
        family=family,
        organisation=Organisation(
            channels_per_device=16,
            pseudo_channels=2,
            sids=2,
            bank_groups=4,
            banks=4,
            rows=16384,
            row_bytes=1024,
            column_bytes=32,
        ),
        ticks_per_ck=2,
        ticks_per_second=2_600_000_000,
        timing_ck=timing,
        pim=PIM,
        energy=EnergyTable(()),
        constants=(),
        peak_rule="",
        peak_bytes_per_second=0,
        external_bytes_per_second=0,
        templates=cast(Any, None),  # what the engines run on: the checker must not ask for it
    )


DEVICE = device()

Where = tuple[int, int, int, int]  # pseudo-channel, SID, bank group, bank

_PC = {"PREab", "REFab", "RDRES"}
_BANK = {"ACT", "PREpb", "RD", "WR", "RDA", "WRA", "REFpb"}


def depth(name: str) -> int:
    """How many of (pseudo-channel, SID, bank group, bank) a command names."""
    return 1 if name in _PC else 4 if name in _BANK else 3


class Log:
    """Collects commands at ticks; `array` is the log in order of tick."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int, int, list[int]]] = []

    def add(
        self,
        tick: int,
        name: str,
        where: Where = (0, 0, 0, 0),
        row: int = 0,
        column: int = 0,
        source: int = 0,
    ) -> Log:
        named = depth(name)
        address = [0, *where[:named], *[-1] * (4 - named), row, column, 0]
        source = -1 if name == "REFab" else source
        self.records.append((tick, COMMANDS.index(name), source, address))
        return self

    @property
    def array(self) -> np.ndarray:
        log = np.zeros(len(self.records), LOG)
        for i, (tick, command, source, address) in enumerate(self.records):
            log[i] = (tick, command, source, address)
        return log[np.argsort(log["tick"], kind="stable")]
