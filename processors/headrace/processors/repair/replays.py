"""Replays of a pipeline: trying one dry, beginning, resuming, listing and following them."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from headrace.consumers.clock import now_ms
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.pipeline.topics.calls import Place
from headrace.processors.job_history import require
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.repair.audit import audit_record, user_name
from headrace.processors.repair.replay_check import LetterCheck
from headrace.processors.repair.replay_definition import (
    Phase,
    ReplayDefinition,
    ReplayOptions,
    ReplayProgress,
    check_name,
    name_now,
)
from headrace.processors.repair.replay_dry import DryRun, DryRunner
from headrace.processors.repair.replay_errors import ReplayError
from headrace.processors.repair.replay_journal import ReplayJournal
from headrace.processors.repair.replay_lanes import Copy, LaneWriter, written_since
from headrace.processors.repair.replay_letters import LetterSelection, LiveMarks
from headrace.processors.repair.replay_run import ReplayRun, Tell, Tools, audit_entry
from headrace.processors.repair.replay_status import ReplayStatus, StatusReader
from headrace.processors.repair.replay_store import (
    StoredReplay,
    definition_record,
    progress_record,
    read_replay,
    read_replays,
)
from headrace.processors.snapshot import Cluster, LogSpan, Snapshot

_SEEN_ROLES: Final = (Role.LANE, Role.DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process' work on a replay ended: what it was to do, and how far it is."""

    definition: ReplayDefinition
    progress: ReplayProgress

    @property
    def finished(self) -> bool:
        """Whether every letter was looked at; else it can be resumed."""
        return self.progress.phase is Phase.FINISHED

    def as_json(self) -> dict[str, object]:
        """Keys: those of `StoredReplay.as_json`, and `finished`."""
        stored = StoredReplay(self.definition, self.progress)
        return {**stored.as_json(), "finished": self.finished}


class Replays:
    """The replays of a pipeline's dead letters.

    Every method raises KafkaUnavailableError when Kafka gives no answer in time, and TopicError
    when it refuses or a topic does not exist.

    Args:
        pipeline: The declaration with its handlers, as workers load it.
        kafka: Where Kafka is.
        progress: Told how far a reading is.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, progress: Progress | None = None
    ) -> None:
        self._pipeline = pipeline
        self._topology = pipeline.topology
        self._kafka = kafka
        self._progress = progress
        self._cluster = Cluster(kafka)

    def dry_run(self, options: ReplayOptions) -> DryRun:
        """Say what a replay would do, and change nothing.

        Raises:
            SettingsError: A queue or priority that the pipeline does not declare.
            RegistryUnavailableError: The schema registry gave no answer.
        """
        snapshot = self._look(options)
        with LiveMarks(self._kafka, self._topology.letters) as marks:
            selection = LetterSelection(self._pipeline, options.wanted, marks)
            runner = DryRunner(self._pipeline, self._kafka, options)
            spans = self._spans(snapshot, selection)
            check = self._check(options, snapshot)
            with TopicReader(self._kafka, self._progress) as reader:
                return runner.run(reader.read(spans), selection, check)

    def define(
        self, options: ReplayOptions, *, name: str = "", by: str = "", reason: str = ""
    ) -> ReplayDefinition | None:
        """Fix what a replay is to do; None when no letter meets the conditions. Writes nothing.

        Args:
            options: How to replay.
            name: Its name; made from the time when empty.
            by: Who begins it; this process' user when empty.
            reason: Why.

        Raises:
            ReplayError: The name cannot be used.
            SettingsError: A queue or priority that the pipeline does not declare.
        """
        at = now_ms()
        name = name or name_now(at)
        lanes = {lane.topic: lane for lane in self._topology.lanes()}
        check_name(name, lanes, self.group(name))
        snapshot = self._look(options)
        with LiveMarks(self._kafka, self._topology.letters) as marks:
            selection = LetterSelection(self._pipeline, options.wanted, marks)
            spans = self._spans(snapshot, selection)
            with TopicReader(self._kafka, self._progress) as reader:
                chosen = (m for m in reader.read(spans) if selection.choose(m) is not None)
                matched = sum(1 for _ in islice(chosen, options.limit))
        if not matched:
            return None
        by = by or user_name()
        return ReplayDefinition(name, options, tuple(spans), matched, by, reason, at)

    def begin(
        self, definition: ReplayDefinition, stop: threading.Event, tell: Tell = lambda _: None
    ) -> Ended:
        """Carry out a new replay, until its end or until `stop` is set.

        Raises:
            ReplayError: There is one of this name already.
            TakenOverError: Another process goes on with it.
            RegistryUnavailableError: The schema registry gave no answer; it can be resumed.
        """
        name, topology = definition.name, self._topology
        with ReplayJournal(self._kafka, self.group(name), name) as journal:
            if any(each.definition.name == name for each in self.all()):
                raise ReplayError(
                    f"there is a replay {name!r} already: go on with it with `--resume {name}`, or "
                    "choose another name"
                )
            at = now_ms()
            progress = ReplayProgress(
                Phase.RUNNING,
                at,
                positions={span.place: span.start for span in definition.spans},
                floors=self._lane_ends(),
            )
            details = {"options": definition.options.as_json()}
            entry = audit_entry(
                name, "begun", definition.by, definition.reason, definition.matched, at, **details
            )
            journal.record(
                [
                    definition_record(topology, definition),
                    progress_record(topology, name, progress),
                    audit_record(topology, entry),
                ],
                progress.positions,
            )
            stored = StoredReplay(definition, progress)
            return self._run(stored, journal, frozenset(), definition.by, stop, tell)

    def resume(
        self, name: str, stop: threading.Event, tell: Tell = lambda _: None, *, by: str = ""
    ) -> Ended:
        """Go on with a replay that was stopped, or whose process died.

        A process that still works on it is fenced: it records nothing more, and stops.

        Raises:
            NoReplayError: There is none of this name.
            ReplayError: It was stopped so long ago that a lane no longer tells what was written.
            TakenOverError: Another process goes on with it.
            RegistryUnavailableError: The schema registry gave no answer; it can be resumed.
        """
        stored, _ = read_replay(self._kafka, self._topology, name)
        if stored.progress.phase is Phase.FINISHED:
            return Ended(stored.definition, stored.progress)
        with ReplayJournal(self._kafka, self.group(name), name) as journal:
            # Again, now that nobody else can record anything.
            stored, _ = read_replay(self._kafka, self._topology, name)
            copies = self._copies(stored)
            actor, reason = by or user_name(), stored.definition.reason
            at, done = now_ms(), stored.progress.replayed
            progress = replace(stored.progress, phase=Phase.RUNNING, at=at)
            entry = audit_entry(name, "resumed", actor, reason, done, at)
            journal.record(
                [
                    progress_record(self._topology, name, progress),
                    audit_record(self._topology, entry),
                ],
                progress.positions,
            )
            stored = replace(stored, progress=progress)
            return self._run(stored, journal, copies, actor, stop, tell)

    def all(self) -> tuple[StoredReplay, ...]:
        """Give every replay that is kept, the newest first."""
        return read_replays(self._kafka, self._topology)

    def find(self, name: str) -> StoredReplay:
        """Give one replay.

        Raises:
            NoReplayError: There is none of this name.
        """
        return read_replay(self._kafka, self._topology, name)[0]

    @contextmanager
    def following(self, name: str) -> Iterator[StatusReader]:
        """Give what tells, again and again, what became of a replay's jobs.

        Raises:
            NoReplayError: There is none of this name.
        """
        with StatusReader(self._pipeline, self._kafka, name, self._progress) as reader:
            yield reader

    def status(self, name: str) -> ReplayStatus:
        """Tell what became of a replay's jobs so far.

        Raises:
            NoReplayError: There is none of this name.
        """
        with self.following(name) as reader:
            return reader.read()

    def group(self, name: str) -> str:
        """Name the consumer group, and the transactional id, of a replay."""
        return f"{self._topology.pipeline}.replay.{name}"

    def _run(
        self,
        stored: StoredReplay,
        journal: ReplayJournal,
        copies: frozenset[Copy],
        actor: str,
        stop: threading.Event,
        tell: Tell,
    ) -> Ended:
        options = stored.definition.options
        snapshot = self._look(options)
        with ExitStack() as stack:
            marks = stack.enter_context(LiveMarks(self._kafka, self._topology.letters))
            writer = LaneWriter(self._kafka, _partitions(snapshot), stored.progress.floors)
            stack.callback(writer.close)
            tools = Tools(
                self._kafka,
                self._topology,
                LetterSelection(self._pipeline, options.wanted, marks),
                marks,
                self._check(options, snapshot),
                writer,
                journal,
                self._lane_ends,
                copies,
                actor,
            )
            return Ended(stored.definition, ReplayRun(stored, tools).run(stop, tell))

    def _look(self, options: ReplayOptions) -> Snapshot:
        options.aim.check(self._pipeline)
        for queue in options.wanted.queues:
            if queue not in self._pipeline.queues:
                raise SettingsError(
                    f"pipeline {self._pipeline.name!r} declares no queue {queue!r} (declared: "
                    f"{', '.join(self._pipeline.queues)})"
                )
        return self._cluster.snapshot(self._pipeline, _SEEN_ROLES)

    def _spans(self, snapshot: Snapshot, selection: LetterSelection) -> list[LogSpan]:
        topics = selection.topics()
        for topic in topics:
            require(snapshot, topic)
        return [span for span in snapshot.of((Role.DEAD_LETTERS,)) if span.topic in topics]

    def _check(self, options: ReplayOptions, snapshot: Snapshot) -> LetterCheck:
        return LetterCheck(self._pipeline, self._kafka, options.aim, set(_partitions(snapshot)))

    def _lane_ends(self) -> Mapping[Place, int]:
        return {span.place: span.end for span in self._lane_spans()}

    def _lane_spans(self) -> list[LogSpan]:
        return self._cluster.snapshot(self._pipeline, (Role.LANE,)).of((Role.LANE,))

    def _copies(self, stored: StoredReplay) -> frozenset[Copy]:
        floors, name = stored.progress.floors, stored.definition.name
        return written_since(self._kafka, self._lane_spans(), floors, name)


def _partitions(snapshot: Snapshot) -> dict[str, int]:
    """How many partitions each existing lane has."""
    counts: dict[str, int] = {}
    for span in snapshot.of((Role.LANE,)):
        counts[span.topic] = counts.get(span.topic, 0) + 1
    return counts
