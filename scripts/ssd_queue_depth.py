"""Random page reads of one SSD under queue depth, by the embedded engine: docs/fidelity-ssd.md.

python scripts/ssd_queue_depth.py [DEVICE ...]

A whole drive is described: its channels beside each other, each with the rules that a channel has
alone. Every outstanding read is a stream, which begins its next read when the last one has arrived.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np

import pyramulator
from pamsim.config import ProgramVariants, describe, load_device
from pamsim.config.spec import DeviceSpec
from pyramulator import BARRIER, RECORD, CommandStream, Description

DEVICES = ("ssd-pam", "ssd-pam-nocache", "ssd-mqsim")
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
READS = 8192
FLASH = ("READ", "CACHE", "XFER")


@dataclass(frozen=True)
class Reads:
    """What came of so many reads at a queue depth."""

    depth: int
    gbps: float
    mean_us: float
    p99_us: float


def drive(device: DeviceSpec) -> Description:
    """A drive: the description of a channel, below a level that has all of them."""
    channel = describe(device, ProgramVariants())
    return replace(
        channel,
        levels=("Drive", *channel.levels),
        sizes=(1, device.organisation.channels_per_device, *channel.sizes[1:]),
    )


def read_pages(device: DeviceSpec, depth: int, *, even: bool = False, seed: int = 1) -> Reads:
    """Reads of random pages, `depth` of them outstanding at any time; `even`: of planes in turn."""
    description = drive(device)
    organisation, rng = device.organisation, np.random.default_rng([seed, depth])
    planes = organisation.channels_per_device * organisation.dies * organisation.planes
    targets = np.stack(np.unravel_index(np.arange(planes), description.sizes[1:4]), axis=1)
    targets = np.column_stack([np.zeros(planes, int), targets]).astype(np.int32)
    commands = [description.command_index(name) for name in FLASH]
    streams = []
    for number in range(depth):
        count = READS // depth
        plane = rng.integers(planes, size=count)
        if even:
            plane[:] = turn(number, device)
        row = rng.integers(organisation.rows, size=count)
        records = [
            record
            for p, r in zip(plane.tolist(), row.tolist(), strict=True)
            for record in (*((c, p, r, 0, 0, 1) for c in commands), (BARRIER, 0, number, 0, 0, 0))
        ]
        streams.append(np.array(records, dtype=RECORD))
    stream = CommandStream(targets, tuple(streams))
    result = pyramulator.run(description, stream, log=True, stalls=False)
    assert result.log is not None
    log, transfer = result.log, device.timing_ck["nBL"]
    done = log[log["command"] == commands[-1]]
    arrived = [np.sort(done["tick"][done["source"] == s]) + transfer for s in range(depth)]
    end = min(int(ticks[-1]) for ticks in arrived)  # until then, `depth` are outstanding
    latency = np.concatenate([np.diff(ticks[ticks <= end], prepend=0) for ticks in arrived])
    us = 1e6 / description.ticks_per_second
    return Reads(
        depth,
        len(latency) * organisation.row_bytes / (end * us) / 1e3,
        float(latency.mean()) * us,
        float(np.percentile(latency, 99)) * us,
    )


def turn(number: int, device: DeviceSpec) -> int:
    """The plane of a read's number: channels go round first, then dies, then planes."""
    o = device.organisation
    rest, channel = divmod(number, o.channels_per_device)
    rest, die = divmod(rest, o.dies)
    return (channel * o.dies + die) * o.planes + rest % o.planes


@dataclass(frozen=True)
class ByHand:
    """What follows from the device's numbers without a simulator."""

    latency_us: float  # of one read alone: sense and transfer
    array_gbps: float  # every plane senses all the time
    bus_gbps: float

    def most_gbps(self, depth: int, page_bytes: int) -> float:
        """No depth does better than each of its reads alone, the arrays, or the buses."""
        return min(depth * page_bytes / self.latency_us / 1e3, self.array_gbps, self.bus_gbps)


def by_hand(device: DeviceSpec) -> ByHand:
    o, t, rate = device.organisation, device.timing_ck, device.ticks_per_second
    dies = o.channels_per_device * o.dies
    senses = dies * (1 if t["nRR"] >= t["nR"] else o.planes)  # that can go on at once
    sense = t["nR"] + (0 if device.pim.extra["overlap"] == "cache" else t["nBL"])
    return ByHand(
        latency_us=(t["nR"] + t["nBL"]) / rate * 1e6,
        array_gbps=senses * o.row_bytes * rate / sense / 1e9,
        bus_gbps=o.channels_per_device * o.row_bytes * rate / t["nBL"] / 1e9,
    )


def main(names: list[str]) -> None:
    for name in names or DEVICES:
        device = load_device(name)
        hand = by_hand(device)
        print(
            f"\n{name}: a read alone {hand.latency_us:.1f} us, arrays {hand.array_gbps:.2f} GB/s, "
            f"buses {hand.bus_gbps:.2f} GB/s by hand\n"
        )
        print("| depth | at most, by hand | in turn | random | mean us | p99 us |")
        print("|---|---|---|---|---|---|")
        for depth in DEPTHS:
            print(line(device, depth))


def line(device: DeviceSpec, depth: int) -> str:
    """A line of the tables in docs/fidelity-ssd.md; rates in GB/s."""
    most = by_hand(device).most_gbps(depth, device.organisation.row_bytes)
    even, found = read_pages(device, depth, even=True), read_pages(device, depth)
    rates = f"{most:.3f} | {even.gbps:.3f} | {found.gbps:.3f}"
    return f"| {depth} | {rates} | {found.mean_us:.1f} | {found.p99_us:.1f} |"


if __name__ == "__main__":
    main(sys.argv[1:])
