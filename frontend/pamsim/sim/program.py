"""Running one program on a device, without a model or a system around it."""

from __future__ import annotations

import hashlib

from pamsim.compiler.compiled import ChannelBinding, ChannelProgram
from pamsim.compiler.variants import program_variants
from pamsim.config import describe
from pamsim.config.spec import DeviceSpec
from pamsim.errors import InputError
from pamsim.sim.engines import EMBEDDED, engine_type
from pamsim.sim.expand import expand
from pamsim.sim.run import ChannelRun
from pim_isa import Program, check, encode
from pyramulator.many import run_many


def run_program(
    program: Program, device: DeviceSpec, *, log: bool = True, engine: str = EMBEDDED
) -> ChannelRun:
    """The program on one channel of the device, to its end.

    Raises InputError where the device is of another family, IsaError for the program's first fault,
    the engine's own errors when it cannot run to its end.
    """
    if program.family != device.family:
        raise InputError(
            f"program must be of the family of {device.name}, {device.family!r}, "
            f"not {program.family!r}"
        )
    faults = check(program, rows=device.organisation.rows)
    if faults:
        raise faults[0]
    binary = encode(program)
    description = describe(device, program_variants([program], device.templates))
    stream = expand(program, description)
    make, stalls = engine_type(engine), engine == EMBEDDED
    (result,) = run_many([(description, stream)], 1, log=log, stalls=stalls, engine=make)
    alone = ChannelBinding(0, (), (), (), ())
    channel = ChannelProgram(program, binary, hashlib.sha256(binary).hexdigest(), (alone,))
    return ChannelRun(channel, stream, description, result, layers=1)
