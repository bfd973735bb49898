"""Data package: device, energy, host, link, system and model descriptions, and their schemas."""
