"""Arguments and results for people: decoded where a schema is known, dumped where none is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic_core import to_jsonable_python

from headrace.pipeline.claims import ClaimStore, claim_in
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import ClaimSettings, KafkaSettings, load
from headrace.schemas.errors import HeadraceError
from headrace.schemas.headers import CLAIM
from headrace.schemas.parsed import read_bare, read_value

Headers = Iterable[tuple[str, bytes | None]]
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
        stored: Where it is stored, if not in the record: its key below HEADRACE_CLAIMS_URL.
    """

    size: int
    value: Any = None
    problem: str | None = None
    dump: str | None = None
    misfit: str | None = None
    stored: str | None = None

    def as_json(self) -> dict[str, object]:
        """Keys: `size_bytes`, and `value` with `misfit` if there is one, or `problem` and
        `hexdump`; `stored` if it is not in the record."""  # noqa: D205, D209
        found: dict[str, object] = {"size_bytes": self.size}
        if self.problem is None:
            found |= {"value": self.value}
        else:
            found |= {"problem": self.problem, "hexdump": self.dump}
        marks = {"misfit": self.misfit, "stored": self.stored}
        return found | {name: mark for name, mark in marks.items() if mark is not None}


class PayloadReader:
    """Decodes what jobs of a pipeline carry. A record of an unknown schema costs a look-up.

    Raises:
        FingerprintCollisionError: Two declared schemas share a fingerprint and differ.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._types = pipeline.job_types
        self._claims = ClaimStore(load(ClaimSettings), pipeline.name)
        self._schemas = known_schemas(pipeline, kafka)

    def arguments(self, job_type: str, payload: bytes | None, headers: Headers = ()) -> Payload:
        """Decode a job's arguments; by the schema alone when its type is not declared here.

        Args:
            job_type: Its name.
            payload: The record's value.
            headers: The record's; they say where the arguments are stored that are not in it.
        """
        return self._unclaimed(job_type, payload, headers, self._arguments)

    def written(self, job_type: str, payload: bytes | None, headers: Headers = ()) -> Payload:
        """Decode a job's arguments as they were written, whatever the type is like by now.

        Those that the writer's schema has and no others: no defaults are filled in, nothing is
        left out.
        """
        return self._unclaimed(job_type, payload, headers, self._written)

    def result(self, job_type: str, payload: bytes | None, claim: str | None = None) -> Payload:
        """Decode a job's result; by the schema alone when its type declares none here.

        Args:
            job_type: Its name.
            payload: The result as the transition has it.
            claim: Where it is stored, if it is not in the transition.
        """
        headers = () if claim is None else ((CLAIM, claim.encode()),)
        return self._unclaimed(job_type, payload, headers, self._result)

    def fetched(self, payload: bytes | None, headers: Headers) -> bytes:
        """Give a record's arguments, wherever they are stored.

        Raises:
            ClaimLostError: They are not there any more, or were altered.
            ClaimsUnavailableError: The store gives no answer.
        """
        claim = claim_in(headers)
        return payload or b"" if claim is None else self._claims.get(claim)

    def _unclaimed(
        self,
        job_type: str,
        payload: bytes | None,
        headers: Headers,
        read: Callable[[str, bytes], Payload],
    ) -> Payload:
        data = payload or b""
        try:
            claim = claim_in(headers)
            if claim is None:
                return read(job_type, data)
            return replace(read(job_type, self._claims.get(claim)), stored=claim.key)
        except HeadraceError as error:
            return Payload(len(data), problem=str(error), dump=hexdump(data))

    def _arguments(self, job_type: str, payload: bytes) -> Payload:
        declared = self._types.get(job_type)
        if declared is None:
            return _read(payload, self._bare)
        codec = declared.arguments
        return _read(payload, lambda data: codec.decode(data, self._schemas))

    def _written(self, job_type: str, payload: bytes) -> Payload:
        declared = self._types.get(job_type)
        if declared is None:
            return _read(payload, self._bare)
        now = self._arguments(job_type, payload)
        if payload.startswith(declared.arguments.prefix) and now.problem is None:
            return now
        then = _read(payload, self._bare)
        return replace(then, misfit=now.problem) if then.problem is None else now

    def _result(self, job_type: str, payload: bytes) -> Payload:
        declared = self._types.get(job_type)
        codec = declared.result if declared is not None else None
        if codec is None:
            return _read(payload, self._bare_value)
        return _read(payload, lambda data: codec.decode(data, self._schemas))

    def _bare(self, payload: bytes) -> Any:
        return read_bare(payload, self._schemas)

    def _bare_value(self, payload: bytes) -> Any:
        return read_value(payload, self._schemas)


def _read(data: bytes, decode: Callable[[bytes], Any]) -> Payload:
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
