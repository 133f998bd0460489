"""Discarding dead letters: deciding that nothing is to be done about them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.processors.dead_letter import DeadLetter
from headrace.processors.repair.audit import AuditEntry, write_audit
from headrace.processors.repair.letter_filter import LetterFilter
from headrace.processors.repair.letter_states import LetterMark, LetterState, write_marks
from headrace.processors.sightings import Location

WHAT = "discard"


@dataclass(slots=True)
class Chosen:
    """Letters that something is to be done about: where they lie, without what they hold.

    Attributes:
        letters: Place, job and generation of each.
        kinds: How many there are of each job type and error class.
    """

    letters: list[tuple[Location, str, int]] = field(default_factory=list)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Give those of the job ids that no letter is of."""
        found = {job for _, job, _ in self.letters}
        return [each for each in ids if each not in found]


def choose(letters: Iterable[DeadLetter]) -> Chosen:
    """Note which letters these are; some 200 bytes for each."""
    chosen = Chosen()
    for letter in letters:
        chosen.letters.append((letter.location, letter.job_id, letter.generation))
        chosen.kinds[letter.job_type, letter.error_type] += 1
    return chosen


def discard(
    topology: Topology,
    kafka: KafkaSettings,
    chosen: Chosen,
    *,
    by: str,
    reason: str,
    now: int,
    wanted: LetterFilter | None = None,
) -> int:
    """Discard letters, and give how many. They stay where they lie.

    1. Write the audit entry.
    2. Mark the letters. After a crash in between, discarding by the same conditions completes it.

    Args:
        topology: The names of the pipeline's topics.
        kafka: Where Kafka is.
        chosen: The letters.
        by: Who does it.
        reason: Why.
        now: Epoch milliseconds.
        wanted: The conditions that they were chosen by, for the audit entry.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time; some may be discarded.
        TopicError: A topic does not exist or may not be written.
    """
    count = len(chosen.letters)
    if not count:
        return 0
    details = {} if wanted is None else {"filter": wanted.as_json()}
    write_audit(kafka, topology, AuditEntry(now, by, WHAT, reason, count, details))
    marks = (
        (place, LetterMark(LetterState.DISCARDED, job, generation, by, now, reason))
        for place, job, generation in chosen.letters
    )
    return write_marks(kafka, topology, marks)
