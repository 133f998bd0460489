"""The account: what became of every job, read from the topics alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from examples.incident.jobs import incident
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.dead_letter_view import DeadLetters
from headrace.processors.reader import TopicReader
from headrace.processors.repair.letter_filter import LetterFilter
from headrace.processors.sightings import Sighting, sight
from headrace.processors.snapshot import Cluster
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

EDITED = "edited, and the new job succeeded"
DISCARDED = "discarded"
REPLAYED = "succeeded after its replay"


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the jobs of one run.

    Attributes:
        submitted: How many were submitted, not counting those that an edit made.
        ends: How many ended how.
        copies: Records that lie on a lane more than once for the same replay.
        repeated: Jobs that did their work more than once, by the handlers' own notes.
        undone: Jobs that succeeded without having done their work, by the same notes.
    """

    submitted: int
    ends: Mapping[str, int]
    copies: int
    repeated: int
    undone: int

    @property
    def adds_up(self) -> bool:
        """Whether every job has one known end, and did its work once at most."""
        known = sum(self.ends.get(end, 0) for end in (REPLAYED, EDITED, DISCARDED))
        return known == self.submitted and not (self.copies or self.repeated or self.undone)

    def as_json(self) -> dict[str, object]:
        """Keys: `submitted`, `ends`, `copies`, `repeated`, `undone`, `adds_up`."""
        return {
            "submitted": self.submitted,
            "ends": dict(self.ends),
            "copies": self.copies,
            "repeated": self.repeated,
            "undone": self.undone,
            "adds_up": self.adds_up,
        }


def read_account(kafka: KafkaSettings, run: str, effects: Path) -> Account:
    """Read what became of the jobs of a run, which is their tenant."""
    records = _on_lanes(kafka, run)
    last = _last_transitions(kafka, run)
    letters = {
        letter.job_id: letter
        for letter in DeadLetters(incident, kafka).select(LetterFilter(tenants=(run,), states=()))
    }
    made = {letter.mark.new_job for letter in letters.values() if letter.mark}
    submitted = {r.job.job_id for r in records if r.job.job_id not in made}
    notes = Counter(effects.read_text().split()) if effects.exists() else Counter()
    succeeded = {job for job, each in last.items() if each.state == JobState.SUCCEEDED}
    ends: Counter[str] = Counter()
    for job in submitted:
        letter = letters.get(job)
        mark = letter.mark if letter else None
        if job in succeeded:
            ends[REPLAYED if last[job].generation else "succeeded at once"] += 1
        elif mark is not None and mark.new_job in succeeded:
            ends[EDITED] += 1
        else:
            ends[mark.state.value if mark else "open"] += 1
    placed = Counter((r.job.job_id, r.job.generation) for r in records)
    return Account(
        len(submitted),
        dict(ends.most_common()),
        sum(count - 1 for count in placed.values()),
        sum(count > 1 for count in notes.values()),
        len(succeeded - notes.keys()),
    )


def count_dead(kafka: KafkaSettings, run: str) -> int:
    """Count the dead letters of a run."""
    wanted = LetterFilter(tenants=(run,), states=())
    return sum(1 for _ in DeadLetters(incident, kafka).select(wanted))


def job_with(kafka: KafkaSettings, run: str, error: str) -> str:
    """Give the id of an open letter with an error."""
    wanted = LetterFilter(tenants=(run,), errors=(error,))
    return next(iter(DeadLetters(incident, kafka).select(wanted))).job_id


def state_of(kafka: KafkaSettings, run: str, job_id: str) -> str:
    """Give the last state that a transition tells of a job; empty when none does."""
    found = _last_transitions(kafka, run).get(job_id)
    return found.state if found else ""


def _on_lanes(kafka: KafkaSettings, run: str) -> list[Sighting]:
    spans = Cluster(kafka).snapshot(incident, (Role.LANE,)).of((Role.LANE,))
    with TopicReader(kafka) as reader:
        found = (sight(message, Role.LANE) for message in reader.read(spans))
        return [each for each in found if each.job.tenant == run]


def _last_transitions(kafka: KafkaSettings, run: str) -> dict[str, Transition]:
    spans = Cluster(kafka).snapshot(incident, (Role.EVENTS,)).of((Role.EVENTS,))
    batches, last = BatchReader(kafka, incident.topology), dict[str, Transition]()
    with TopicReader(kafka) as reader:
        for message in reader.read(spans):
            for each in batches.read(message):
                known = last.get(each.job_id)
                if each.tenant == run and (known is None or known.order < each.order):
                    last[each.job_id] = each
    return last
