"""Editing one dead letter: the same job with other arguments, as a new job.

The new job's id follows from where the letter lies and from the new arguments. So the same edit,
done again after a crash, is the same job, and is not submitted twice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.schema_topic import PublishedSchema, SchemaTopic
from headrace.pipeline.settings import ClaimSettings, KafkaSettings, load
from headrace.processors.dead_letter import DeadLetter
from headrace.processors.errors import EditError
from headrace.processors.job_history import JobHistory
from headrace.processors.repair.audit import AuditEntry, write_audit
from headrace.processors.repair.draft import Draft, as_json, draft_of
from headrace.processors.repair.letter_states import LetterMark, LetterState, write_marks
from headrace.processors.repair.raw_records import RawRecord, write_records
from headrace.processors.sightings import Location
from headrace.schemas import headers
from headrace.schemas.errors import ArgumentError
from headrace.schemas.headers import JobHeaders
from headrace.schemas.ids import dedup_job_id

WHAT: Final = "edit"
_OURS: Final = "headrace-"


@dataclass(frozen=True, slots=True)
class Edit:
    """A checked change.

    Attributes:
        draft: What was there.
        arguments: The new arguments as JSON, with defaults filled in.
        payload: The same as they will be submitted.
        job_id: Of the new job.
        dedup_key: What the id was made from.
        lane: The topic that it goes to.
    """

    draft: Draft
    arguments: Mapping[str, Any]
    payload: bytes
    job_id: str
    dedup_key: str
    lane: str


class Editor:
    """Edits dead letters of a pipeline whose job types are declared here."""

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._kafka = kafka

    def draft(self, letter: DeadLetter) -> Draft:
        """As `draft_of`."""
        return draft_of(self._pipeline, self._kafka, letter)

    def edit(self, draft: Draft, arguments: Mapping[str, Any]) -> Edit:
        """Check new arguments.

        Arguments that did not change keep the very values that they had.

        Raises:
            ArgumentError: They do not fit the job type; names the argument.
            EditError: Nothing changes, or an argument changes that JSON cannot say.
        """
        values = draft.codec.bind_json(_dumped(draft.letter.job_type, arguments))
        values |= draft.kept(arguments)
        payload = draft.codec.encode(values)
        if payload == draft.payload:
            raise EditError(
                f"the arguments of job {draft.letter.job_id} are as they were: nothing was "
                "submitted; `headrace dlq replay` runs it again unchanged"
            )
        key = _dedup_key(draft.letter.location, payload)
        job = draft.letter
        return Edit(
            draft,
            {name: as_json(value) for name, value in values.items()},
            payload,
            dedup_job_id(self._pipeline.name, job.job_type, job.tenant, key),
            key,
            self._lane(draft),
        )

    def submit(self, edit: Edit, *, by: str, reason: str, now: int) -> Location | None:
        """Submit the new job, and mark the letter as edited.

        1. Submit the job, unless the same edit has submitted it before; wait for the broker.
        2. Write the audit entry.
        3. Mark the letter. After a crash before this, the same edit again completes it.

        Returns:
            Where the new job lies; None when it had been submitted before.

        Raises:
            FingerprintCollisionError: The type's schema cannot be published.
            KafkaUnavailableError: Kafka gave no answer in time; the same edit again is safe.
            TopicError: A topic is missing, or refused a record.
        """
        topology, letter = self._pipeline.topology, edit.draft.letter
        place = None
        if JobHistory(self._pipeline, self._kafka).find(edit.job_id) is None:
            self._publish_schema(edit)
            (place,) = write_records(self._kafka, [self._record(edit, now)])
        details = {"job": letter.job_id, "new_job": edit.job_id, "letter": str(letter.location)}
        write_audit(self._kafka, topology, AuditEntry(now, by, WHAT, reason, 1, details))
        mark = LetterMark(
            LetterState.EDITED,
            letter.job_id,
            letter.generation,
            by,
            now,
            reason,
            new_job=edit.job_id,
        )
        write_marks(self._kafka, topology, [(letter.location, mark)])
        return place

    def _lane(self, draft: Draft) -> str:
        """Its own lane; if that is gone, the one that its type has today."""
        topology, policy = self._pipeline.topology, draft.policy
        if topology.lane_of_topic(draft.letter.lane) is not None:
            return draft.letter.lane
        return next(
            lane.topic
            for lane in topology.lanes()
            if (lane.queue, lane.priority) == (policy.queue, policy.priority)
        )

    def _record(self, edit: Edit, now: int) -> RawRecord:
        """Make the new job's record; arguments that are too large for it are stored first."""
        record = job_record(self._pipeline, edit, now)
        claims = ClaimStore(load(ClaimSettings), self._pipeline.name)
        if not claims.takes(edit.payload):
            return record
        claim = str(claims.put("arguments", edit.payload)).encode()
        told = (*record.headers, (headers.CLAIM, claim))
        return replace(record, value=edit.draft.codec.prefix, headers=told)

    def _publish_schema(self, edit: Edit) -> None:
        codec = edit.draft.codec
        schema = PublishedSchema(edit.draft.letter.job_type, codec.schema_text, codec.fingerprint)
        SchemaTopic(self._kafka, self._pipeline.topology).publish([schema])


def job_record(pipeline: Pipeline, edit: Edit, now: int) -> RawRecord:
    """Make the record of the new job: a first attempt, never replayed.

    It keeps the tenant, the ordering key, an expiry that has not passed, and what the producer
    wrote beside (a trace, headers of its own).
    """
    letter = edit.draft.letter
    raw = letter.record
    old = headers.decode(raw.headers, lane=raw.topic, timestamp=letter.appended)
    kept = tuple(each for each in old.extra if not each[0].startswith(_OURS))
    new = JobHeaders(
        edit.job_id,
        letter.job_type,
        headers.source(pipeline.name),
        now,
        edit.lane,
        tenant=letter.tenant,
        expires=old.expires if old.expires is not None and old.expires > now else None,
        dedup_key=edit.dedup_key,
        extra=(*kept, (headers.EDITED_FROM, letter.job_id.encode())),
    )
    own_key = raw.key and raw.key != letter.job_id.encode()
    key = raw.key if own_key else edit.job_id.encode()
    return RawRecord(edit.lane, None, key, edit.payload, tuple(new.encode()))


def _dedup_key(place: Location, payload: bytes) -> str:
    return f"edit/{place}/{hashlib.sha256(payload).hexdigest()[:32]}"


def _dumped(job_type: str, arguments: Mapping[str, Any]) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except ValueError as error:
        raise ArgumentError(job_type, None, f"they cannot be written as JSON: {error}") from None
