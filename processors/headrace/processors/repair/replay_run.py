"""Carrying out a replay, from where it stands to its end or until it is told to stop.

In batches, and in this order, so that a death at any moment neither loses a letter nor runs a job
twice (decision 11):

1. *choose*: letters that meet the conditions, that nothing was done about, and that would run;
2. *write* them to their lanes, and wait until the lanes have them;
3. *record* their marks, the progress and the group's commit, in one transaction.

After a death between 2 and 3 the batch is chosen again. What of it lies on a lane already is found
there, since the progress says from which offsets on to look.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from confluent_kafka import KafkaException, Message

from headrace.consumers.clock import now_ms
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.processors.reader import TopicReader
from headrace.processors.repair.audit import AuditEntry, audit_record
from headrace.processors.repair.letter_states import LetterMark, LetterState, mark_records
from headrace.processors.repair.pace import Pace
from headrace.processors.repair.replay_check import LetterCheck, Refused
from headrace.processors.repair.replay_definition import Phase, ReplayProgress
from headrace.processors.repair.replay_journal import ReplayJournal
from headrace.processors.repair.replay_lanes import Copy, LaneWriter
from headrace.processors.repair.replay_letters import Chosen, LetterSelection, LiveMarks
from headrace.processors.repair.replay_record import Outgoing, outgoing
from headrace.processors.repair.replay_store import StoredReplay, progress_record
from headrace.processors.snapshot import LogSpan

Tell = Callable[[ReplayProgress], None]
"""Told how far a replay is, after each batch."""
_BATCH_AGE: Final = 1.0
"""Seconds after which a batch is recorded though it is not full."""
_BATCH_BYTES: Final = 8_388_608
"""Of arguments in a batch: it is held in memory."""
_FLOORS_AGE: Final = 5.0
"""Seconds after which it is asked anew where the lanes end: so a replay that is resumed has little
to look through, and no retention overtakes it."""


@dataclass(slots=True)
class Tools:
    """What a replay works with. All of it belongs to the thread that runs it.

    Attributes:
        kafka: Where Kafka is.
        topology: The pipeline's names.
        selection: Chooses letters.
        marks: What was done about letters.
        check: Tells what would run.
        writer: Writes to lanes.
        journal: Records, and is open.
        lane_ends: Asks where the lanes end.
        copies: What a process that died wrote without recording it.
        actor: Who carries it out, for marks and the audit.
    """

    kafka: KafkaSettings
    topology: Topology
    selection: LetterSelection
    marks: LiveMarks
    check: LetterCheck
    writer: LaneWriter
    journal: ReplayJournal
    lane_ends: Callable[[], Mapping[Place, int]]
    copies: set[Copy]
    actor: str


@dataclass(slots=True)
class _Batch:
    """What was chosen since the last record; it begins with the first letter."""

    began: float
    positions: dict[Place, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    bytes: int = 0
    there: list[Outgoing] = field(default_factory=list)
    """Those that lie on their lanes already."""


class ReplayRun:
    """One process' work on a replay. Owned by one thread.

    Args:
        stored: What to do, and how far it is.
        tools: What to do it with.
        clock: Monotonic seconds.
    """

    def __init__(
        self, stored: StoredReplay, tools: Tools, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._definition = stored.definition
        self._options = stored.definition.options
        self._tools = tools
        self._clock = clock
        self._pace = Pace(self._options.rate, clock)
        self._batch = _Batch(clock())
        self._floors_at = clock()
        self.progress = stored.progress

    def run(self, stop: threading.Event, tell: Tell = lambda _: None) -> ReplayProgress:
        """Replay until the end, or until `stop` is set; gives how far it came.

        Raises:
            TakenOverError: Another process goes on with it.
            KafkaUnavailableError: Kafka gave no answer in time; it can be resumed.
            TopicError: Kafka refused; it can be resumed.
            RegistryUnavailableError: The schema registry gave no answer; it can be resumed.
        """
        ended = self._all(stop, tell)
        self._finish_batch(Phase.FINISHED if ended else Phase.STOPPED)
        tell(self.progress)
        return self.progress

    def _all(self, stop: threading.Event, tell: Tell) -> bool:
        """Take letter after letter; gives whether that was all."""
        with TopicReader(self._tools.kafka) as reader:
            for message in reader.read(self._left()):
                if self._is_full():
                    return True
                if not self._take(message, stop):
                    return False
                if self._batch_is_due():
                    self._finish_batch(Phase.RUNNING)
                    tell(self.progress)
        # Behind the last letter there may be a transaction's marker.
        self._batch.positions |= {span.place: span.end for span in self._definition.spans}
        return True

    def _left(self) -> list[LogSpan]:
        at = self.progress.positions
        return [span.from_offset(at.get(span.place, 0)) for span in self._definition.spans]

    def _is_full(self) -> bool:
        """Whether the limit is reached: refused letters count, so that a resume changes nothing."""
        seen = self.progress.looked_at + sum(self._batch.refused.values())
        seen += self._batch.sent + len(self._batch.there)
        return self._options.limit is not None and seen >= self._options.limit

    def _batch_is_due(self) -> bool:
        batch = self._batch
        pending = batch.sent + len(batch.there) + sum(batch.refused.values())
        if not pending:
            batch.began = self._clock()
            return False
        full = pending >= self._options.batch or batch.bytes >= _BATCH_BYTES
        return full or self._clock() - batch.began >= _BATCH_AGE

    def _take(self, message: Message, stop: threading.Event) -> bool:
        """Deal with one record; False when `stop` came first."""
        if stop.is_set():
            return False
        chosen = self._tools.selection.choose(message)
        if chosen is not None:
            verdict = self._judge(chosen)
            if isinstance(verdict, Refused):
                self._batch.refused[verdict.cause.value] += 1
            elif not self._send(verdict, stop):
                return False
        place = (message.topic() or "", message.partition() or 0)
        self._batch.positions[place] = (message.offset() or 0) + 1
        return True

    def _judge(self, chosen: Chosen) -> Outgoing | Refused:
        verdict = self._tools.check.judge(chosen.sighting, chosen.mark)
        if isinstance(verdict, Refused):
            return verdict
        return outgoing(
            chosen.sighting,
            verdict,
            self._definition.name,
            self._options.attempts,
            ignore_expiry=self._options.aim.ignore_expiry,
        )

    def _send(self, letter: Outgoing, stop: threading.Event) -> bool:
        copy = (letter.job_id, letter.generation)
        if copy in self._tools.copies:
            self._tools.copies.discard(copy)
            self._batch.there.append(letter)
            return True
        if not self._pace.wait(stop):
            return False
        self._tools.writer.write(letter)
        self._batch.sent += 1
        self._batch.bytes += len(letter.payload or b"")
        return True

    def _finish_batch(self, phase: Phase) -> None:
        batch, tools, now = self._batch, self._tools, now_ms()
        settled = tools.writer.settle()
        batch.refused.update(refused.cause.value for _, refused in settled.refused)
        written = [*batch.there, *settled.written]
        self.progress = replace(
            self.progress,
            phase=phase,
            at=now,
            replayed=self.progress.replayed + len(written),
            refused=dict(Counter(self.progress.refused) + batch.refused),
            positions={**self.progress.positions, **batch.positions},
            floors=self._floors(),
        )
        name = self._definition.name
        marks = ((letter.origin, self._mark(letter, now)) for letter in written)
        records = [
            *mark_records(tools.topology, marks),
            progress_record(tools.topology, name, self.progress),
        ]
        if phase is not Phase.RUNNING:
            records.append(audit_record(tools.topology, self._entry(phase.value, now)))
        tools.journal.record(records, batch.positions)
        self._batch = _Batch(self._clock())
        self._follow_marks()

    def _floors(self) -> Mapping[Place, int]:
        """Give from where on the next batch will lie: nothing is on its way now.

        Not above what a dead process wrote, until all of that is recorded: this one may die, too.
        """
        if self._tools.copies or self._clock() - self._floors_at < _FLOORS_AGE:
            return self.progress.floors
        self._floors_at = self._clock()
        return self._tools.lane_ends()

    def _follow_marks(self) -> None:
        try:
            self._tools.marks.follow()
        except KafkaException as error:
            cause = kafka_error(error)
            raise explain("following the letters topic", cause, self._tools.kafka) from error

    def _mark(self, letter: Outgoing, now: int) -> LetterMark:
        return LetterMark(
            LetterState.REPLAYED,
            letter.job_id,
            letter.generation - 1,
            self._tools.actor,
            now,
            self._definition.reason,
            self._definition.name,
        )

    def _entry(self, what: str, now: int) -> AuditEntry:
        return audit_entry(
            self._definition.name,
            what,
            self._tools.actor,
            self._definition.reason,
            self.progress.replayed,
            now,
            refused=dict(self.progress.refused),
        )


def audit_entry(
    name: str, phase: str, who: str, why: str, how_many: int, now: int, **details: object
) -> AuditEntry:
    """Make the audit entry of a replay that began, was resumed, was stopped or has finished."""
    return AuditEntry(
        now, who, "replay", why, how_many, {"replay": name, "phase": phase, **details}
    )
