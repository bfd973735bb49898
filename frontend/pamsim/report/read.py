"""Reading a result document that `pamsim run` wrote, or that somebody says it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pamsim.errors import InputError, Position


def read_result(path: Path) -> dict[str, Any]:
    """The document of a result file, or of `result.json` in a directory; its fields unchecked.

    Raises InputError where it cannot be read, is not JSON, or says not that it is a result.
    """
    path = result_file(path)
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"result must be a readable file, not {str(path)!r} ({error.strerror})"
        ) from error
    except RecursionError:
        raise InputError("result must be JSON, not nested so deep", Position(str(path))) from None
    except json.JSONDecodeError as error:
        place = Position(str(path), error.lineno, error.colno)
        raise InputError(f"result must be JSON ({error.msg})", place) from None
    except ValueError:  # bytes that are no text, a number of too many digits
        raise InputError("result must be JSON, not other bytes", Position(str(path))) from None
    if not isinstance(document, dict) or "schema_version" not in document:
        raise InputError(
            "result must be one of `pamsim run`, not another document", Position(str(path))
        )
    return document


def result_file(path: Path) -> Path:
    """The file of a result: `path`, or the one in a directory."""
    return path / "result.json" if path.is_dir() else path


def structure_faults(document: dict[str, Any]) -> list[str]:
    """Missing, unknown or ill-typed fields, by the types that the JSON Schema is made from."""
    from pydantic import ValidationError

    from pamsim.report.schema import Result

    try:
        Result.model_validate(document, strict=None)
    except ValidationError as error:
        return [
            f"{'.'.join(str(part) for part in fault['loc']) or 'result'}: {fault['msg']}"
            for fault in error.errors()
        ]
    return []
