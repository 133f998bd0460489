"""What there is to edit of a dead letter: its arguments as JSON, and which of them JSON can say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from headrace.pipeline.job import JobPolicy
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.dead_letter import DeadLetter
from headrace.processors.errors import EditError
from headrace.processors.payloads import PayloadReader
from headrace.schemas.errors import ArgumentError, HeadraceError
from headrace.schemas.record_codec import RecordCodec


@dataclass(frozen=True, slots=True)
class Draft:
    """What there is to edit.

    Attributes:
        letter: The dead letter.
        codec: Of its job type's arguments, as it is declared today.
        policy: Where jobs of its type go today.
        arguments: Its arguments as JSON; None when they cannot be decoded and all must be given.
        problem: Why they cannot be decoded, or why today's type refuses them.
        values: Its arguments as the handler would get them; None when today's type refuses them.
        payload: What the job was submitted with, wherever that is stored.
        fixed: Arguments that JSON cannot say without loss (bytes that are no text, for one): they
            stay as they are.
    """

    letter: DeadLetter
    codec: RecordCodec
    policy: JobPolicy
    arguments: Mapping[str, Any] | None
    problem: str | None
    values: Mapping[str, Any] | None
    payload: bytes
    fixed: frozenset[str]

    def kept(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Give the very values of those arguments that did not change.

        Raises:
            EditError: One changed that JSON cannot say.
        """
        if self.values is None or self.arguments is None:
            return {}
        kept: dict[str, Any] = {}
        for name, value in self.values.items():
            if name in arguments and arguments[name] == self.arguments[name]:
                kept[name] = value
            elif name in self.fixed:
                raise EditError(
                    f"argument {name!r} of job {self.letter.job_id} holds a value that JSON cannot "
                    "say without loss, so it cannot be edited: leave it as it is, or submit the "
                    "job anew from Python and discard this letter"
                )
        return kept


def draft_of(pipeline: Pipeline, kafka: KafkaSettings, letter: DeadLetter) -> Draft:
    """Decode what there is to edit.

    Raises:
        EditError: The letter's job type is not declared here.
        KafkaUnavailableError: Kafka gave no answer in time.
    """
    declared = pipeline.job_types.get(letter.job_type)
    if declared is None:
        raise EditError(
            f"job {letter.job_id} is of type {letter.job_type!r}, which pipeline "
            f"{pipeline.name!r} does not declare: its new arguments could not be checked; edit it "
            "with the code that declares the type"
        )
    codec, policy = declared.arguments, declared.policy
    payloads, payload = PayloadReader(pipeline, kafka), letter.payload or b""
    try:
        payload = payloads.fetched(payload, letter.record.headers)
        values = codec.decode(payload, known_schemas(pipeline, kafka))
    except HeadraceError as error:
        written = payloads.written(letter.job_type, letter.payload, letter.record.headers)
        known = written.value if written.problem is None else None
        return Draft(letter, codec, policy, known, str(error), None, payload, frozenset())
    shown = {name: as_json(value) for name, value in values.items()}
    return Draft(letter, codec, policy, shown, None, values, payload, _fixed(codec, shown, values))


def as_json(value: Any) -> Any:
    """Give a value as JSON: bytes as the text that they are, so that the same bytes come back."""
    try:
        return to_jsonable_python(value, bytes_mode="utf8", fallback=repr)
    except (PydanticSerializationError, UnicodeDecodeError):
        return to_jsonable_python(value, bytes_mode="base64", fallback=repr)


def _fixed(
    codec: RecordCodec, shown: Mapping[str, Any], values: Mapping[str, Any]
) -> frozenset[str]:
    """Find the arguments that do not come back from JSON as they were."""
    try:
        again = codec.bind_json(json.dumps(shown))
    except (ArgumentError, ValueError):
        return frozenset(name for name in shown if shown[name] != values[name])
    return frozenset(name for name in values if again[name] != values[name])
