"""`--set KEY=VALUE` that cannot be: what is said, with the option."""

from __future__ import annotations

import pytest

from pamsim.config import load_system
from pamsim.errors import PamsimError

BAD_OPTIONS = {
    "no value": ("tiers.hbm.devices", "option --set must be KEY=VALUE, not 'tiers.hbm.devices'"),
    "empty part": ("tiers..devices=1", "option --set must be KEY=VALUE, not 'tiers..devices=1'"),
    "unknown key": (
        "tiers.hbm.device.timing.nRCDR=20",
        "tiers.hbm.device.timing must have the key 'nRCDR' to set it "
        "[--set tiers.hbm.device.timing.nRCDR=20] (did you mean 'nRCDWR'?)",
    ),
    "unknown tier": (
        "tiers.hmb.devices=4",
        "tiers must have the key 'hmb' to set it [--set tiers.hmb.devices=4] "
        "(did you mean 'hbm'?)",
    ),
    "unknown top": (
        "layuot=head-split",
        "the system must have the key 'layuot' to set it [--set layuot=head-split] "
        "(did you mean 'layout'?)",
    ),
    "below a value": (
        "layout.x=1",
        "layout must have the key 'x' to set it [--set layout.x=1]",
    ),
    "wrong type": (
        "tiers.hbm.devices=four",
        "tiers.hbm.devices must be a number, not 'four' [--set tiers.hbm.devices=four]",
    ),
    "fraction of a device": (
        "tiers.hbm.devices=2.5",
        "tiers.hbm.devices must be a whole number, not 2.5 [--set tiers.hbm.devices=2.5]",
    ),
    "out of range": (
        "host.compute_utilisation=1.5",
        "host.compute_utilisation must be from 1e-06 to 1, not 1.5 "
        "[--set host.compute_utilisation=1.5]",
    ),
    "no unit": (
        "tiers.hbm.link.latency=50",
        "tiers.hbm.link.latency must be a quantity of time with its unit (ps, ns, us, ms, "
        "s), not 50 [--set tiers.hbm.link.latency=50]",
    ),
    "a group of values": (
        "tiers.hbm.device.organisation=1",
        "tiers.hbm.device.organisation must be set one value at a time "
        "[--set tiers.hbm.device.organisation=1] (it has bank_groups, banks, "
        "channels_per_device, column_bytes, dq_bits, pseudo_channels, row_bytes, rows)",
    ),
    "name that is none": (
        "tiers.hbm.device=hbm3-pan",
        "device must be a known name or a YAML file, not 'hbm3-pan' "
        "[--set tiers.hbm.device=hbm3-pan] (did you mean 'hbm3-pam'?)",
    ),
    "tier that is none": (
        "weights_tier=ddr",
        "weights_tier must be one of the tiers, not 'ddr' [--set weights_tier=ddr] (known: hbm)",
    ),
    "nothing": ("layout=", "layout must be text, not nothing [--set layout=]"),
    "not a number": ("tiers.hbm.devices=.nan",
                     "number must be finite, not .nan [--set tiers.hbm.devices=.nan]"),
    "contradiction": (
        "tiers.hbm.device.timing.nRFC=9999",
        "nRFC must be below nREFI = 5070 CK, not 9999 CK "
        "[--set tiers.hbm.device.timing.nRFC=9999] "
        "(a refresh has to end before the next is due)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_option(case: str) -> None:
    option, message = BAD_OPTIONS[case]
    with pytest.raises(PamsimError) as error:
        load_system("pam-hbm", [option])
    assert str(error.value) == message
