"""Configuration: named or given descriptions in, frozen `SystemSpec` and `DeviceSpec` out.

Files are YAML 1.2, composed with `extends`; every constant has a unit and a source, an assumption a
range. Errors carry file, line and column.
"""

from pamsim.config.documents import KINDS, list_configs
from pamsim.config.load import load_device, load_document, load_system
from pamsim.config.resolver import describe, duration_ticks
from pamsim.config.show import config_constants, resolved_json, schema_files
from pamsim.config.spec import (
    Constant,
    DeviceSpec,
    EnergyTable,
    HostSpec,
    LinkSpec,
    Organisation,
    PimUnit,
    ProgramVariants,
    SystemSpec,
    TierSpec,
)

__all__ = [
    "KINDS",
    "Constant",
    "DeviceSpec",
    "EnergyTable",
    "HostSpec",
    "LinkSpec",
    "Organisation",
    "PimUnit",
    "ProgramVariants",
    "SystemSpec",
    "TierSpec",
    "config_constants",
    "describe",
    "duration_ticks",
    "list_configs",
    "load_device",
    "load_document",
    "load_system",
    "resolved_json",
    "schema_files",
]
