"""Bad inputs: machines of several tiers, and the parts of the KV cache that they hold."""

from __future__ import annotations

from bad_inputs import RUN, Bad

SSD = "tiers.ssd.device"
ALL_IN_SSD = ("tiers.hbm.kv_gib=0", "tiers.ddr.kv_gib=0")


def node(says: str, *pairs: str) -> Bad:
    """A run on pam-node (eight instances of HBM, DDR and SSD) with --set PAIR."""
    return Bad(says, " ".join([RUN, "--system pam-node", *(f"--set '{pair}'" for pair in pairs)]))


TIERS: dict[str, Bad] = {
    "tier that is missing": node(
        "tiers must have the key 'dram' to set it [--set tiers.dram.kv_gib=1] "
        "(known: ddr, hbm, ssd)",
        "tiers.dram.kv_gib=1",
    ),
    "weights in no tier": node(
        "weights_tier must be one of the tiers, not 'nvm' [--set weights_tier=nvm] "
        "(known: ddr, hbm, ssd)",
        "weights_tier=nvm",
    ),
    "drive that is none": node(
        "device must be a known name or a YAML file, not 'ssd-pan' [--set tiers.ssd.device=ssd-pan]"
        " (did you mean 'ssd-pam'?)",
        "tiers.ssd.device=ssd-pan",
    ),
    "link to DDR of zero bandwidth": node(
        "tiers.ddr.link.bandwidth must be from 1000 to 1e+18 B/s, not '0 GB/s' "
        "[--set tiers.ddr.link.bandwidth=0 GB/s]",
        "tiers.ddr.link.bandwidth=0 GB/s",
    ),
    "link that answers before it is asked": node(
        "tiers.ssd.link.latency must be from 0 to 1e+15 ps, not '-1 ns' "
        "[--set tiers.ssd.link.latency=-1 ns]",
        "tiers.ssd.link.latency=-1 ns",
    ),
    "negative part": node(
        "tiers.hbm.kv_gib must be from 0 to 1073741824, not -1 [--set tiers.hbm.kv_gib=-1]",
        "tiers.hbm.kv_gib=-1",
    ),
    # 700 GiB over 8 instances are 87.5 GiB; an instance has five stacks of 16 GiB.
    "part above its tier": node(
        "kv_gib of tier 'hbm' must be at most the 80.00 GiB an instance that weights and reserves "
        "leave of it, not 87.50 GiB: 7.50 GiB too much",
        "tiers.hbm.kv_gib=700",
    ),
    "parts that do not add up": node(
        "KV cache of model must fit the 0.00 MiB that the tiers of an instance have for it "
        "(hbm 0.00 MiB, ddr 0.00 MiB, ssd 0.00 MiB), not need ... MiB: ... MiB too much (...)",
        *ALL_IN_SSD,
        "tiers.ssd.kv_gib=0",
    ),
    "spread of DDR that is none": Bad(
        "spread must be one of ..., not 'bananas' [--set spread=bananas]",
        f"{RUN} --system ddr-only --set spread=bananas",
    ),
    "weights beyond their tier": Bad(
        # 812 GB of weights on four tensor- and two pipeline-parallel instances
        "weights of llama-3.1-405b and ... of reserve must fit tier 'hbm' of 16.00 GiB, not need "
        "... GiB: ... GiB too much (more devices, or another weights_tier)",
        "run --model llama-3.1-405b --system pam-node --context 64 --set tiers.hbm.devices=1",
    ),
    "page smaller than a block of tokens": node(
        "page of ssd-pam must hold 16 vectors of 128 B ..., not be 64 B",
        *ALL_IN_SSD,
        f"{SSD}.organisation.row_bytes=64 B",
        f"{SSD}.organisation.column_bytes=64 B",
        f"{SSD}.timing.nBL=32",  # 2 beats of 8 bit each
    ),
    "SSD worn out": node(
        "drives of tier 'ssd' must have program/erase cycles left, not 30000000 of ... used: "
        "worn out (...)",
        *ALL_IN_SSD,
        f"{SSD}.pim.extra.erases_before=30000000",
    ),
}
