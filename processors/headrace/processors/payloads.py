"""Arguments and results for people: decoded where a schema is known, dumped where none is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic_core import to_jsonable_python

from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas.errors import HeadraceError
from headrace.schemas.parsed import read_bare, read_value

_WIDTH: Final = 16
_DUMPED: Final = 512
"""Bytes of a payload that a dump shows."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload in words.

    Attributes:
        size: Bytes.
        value: The value as JSON has it (times and decimals as text, bytes as base64), if it could
            be decoded.
        problem: Why it could not; None when it could.
        dump: The first 512 bytes in hex and ASCII, when it could not.
        misfit: Why the job type as it is declared here does not take the value, if it does not.
    """

    size: int
    value: Any = None
    problem: str | None = None
    dump: str | None = None
    misfit: str | None = None

    def as_json(self) -> dict[str, object]:
        """Keys: `size_bytes`, and `value` with `misfit` if there is one, or `problem` and
        `hexdump`."""  # noqa: D205, D209
        if self.problem is None:
            found: dict[str, object] = {"size_bytes": self.size, "value": self.value}
            return found if self.misfit is None else found | {"misfit": self.misfit}
        return {"size_bytes": self.size, "problem": self.problem, "hexdump": self.dump}


class PayloadReader:
    """Decodes what jobs of a pipeline carry. A record of an unknown schema costs a look-up.

    Raises:
        FingerprintCollisionError: Two declared schemas share a fingerprint and differ.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._types = pipeline.job_types
        self._schemas = known_schemas(pipeline, kafka)

    def arguments(self, job_type: str, payload: bytes | None) -> Payload:
        """Decode a job's arguments; by the schema alone when its type is not declared here."""
        declared = self._types.get(job_type)
        if declared is None:
            return _read(payload, self._bare)
        codec = declared.arguments
        return _read(payload, lambda data: codec.decode(data, self._schemas))

    def written(self, job_type: str, payload: bytes | None) -> Payload:
        """Decode a job's arguments as they were written, whatever the type is like by now.

        Those that the writer's schema has and no others: no defaults are filled in, nothing is
        left out.
        """
        declared = self._types.get(job_type)
        if declared is None:
            return _read(payload, self._bare)
        now = self.arguments(job_type, payload)
        if (payload or b"").startswith(declared.arguments.prefix) and now.problem is None:
            return now
        then = _read(payload, self._bare)
        return replace(then, misfit=now.problem) if then.problem is None else now

    def result(self, job_type: str, payload: bytes | None) -> Payload:
        """Decode a job's result; by the schema alone when its type declares none here."""
        declared = self._types.get(job_type)
        codec = declared.result if declared is not None else None
        if codec is None:
            return _read(payload, self._bare_value)
        return _read(payload, lambda data: codec.decode(data, self._schemas))

    def _bare(self, payload: bytes) -> Any:
        return read_bare(payload, self._schemas)

    def _bare_value(self, payload: bytes) -> Any:
        return read_value(payload, self._schemas)


def _read(payload: bytes | None, decode: Callable[[bytes], Any]) -> Payload:
    data = payload or b""
    try:
        value = to_jsonable_python(decode(data), bytes_mode="base64", fallback=repr)
    except HeadraceError as error:
        return Payload(len(data), problem=str(error), dump=hexdump(data))
    return Payload(len(data), value)


def hexdump(data: bytes, limit: int = _DUMPED) -> str:
    """Show bytes as `offset  hex  |ASCII|`, 16 in a line, cut after `limit` bytes."""
    if not data:
        return "(no bytes)"
    lines = [
        _dump_line(at, data[at : at + _WIDTH]) for at in range(0, min(len(data), limit), _WIDTH)
    ]
    if len(data) > limit:
        lines.append(f"… {len(data) - limit:,} more bytes")
    return "\n".join(lines)


def _dump_line(at: int, part: bytes) -> str:
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{at:08x}  {part.hex(' '):<{_WIDTH * 3 - 1}}  |{text}|"
