"""Replays of a pipeline: trying one dry, beginning, resuming, listing and following them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from headrace.consumers.clock import now_ms
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.repair.audit import audit_record, user_name
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
from headrace.processors.repair.replay_letters import LetterSelection, LiveMarks
from headrace.processors.repair.replay_run import Tell, audit_entry
from headrace.processors.repair.replay_setting import ReplaySetting
from headrace.processors.repair.replay_status import ReplayStatus, StatusReader
from headrace.processors.repair.replay_store import (
    StoredReplay,
    definition_record,
    progress_record,
    read_replay,
    read_replays,
)


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
        self._setting = ReplaySetting(pipeline, kafka)

    def dry_run(self, options: ReplayOptions) -> DryRun:
        """Say what a replay would do, and change nothing.

        Raises:
            SettingsError: A queue or priority that the pipeline does not declare.
            RegistryUnavailableError: The schema registry gave no answer.
        """
        snapshot = self._setting.look(options)
        with LiveMarks(self._kafka, self._topology.letters) as marks:
            selection = LetterSelection(self._pipeline, options.wanted, marks)
            runner = DryRunner(self._pipeline, self._kafka, options)
            spans = self._setting.spans(snapshot, selection)
            check = self._setting.check(options, snapshot)
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
        snapshot = self._setting.look(options)
        with LiveMarks(self._kafka, self._topology.letters) as marks:
            selection = LetterSelection(self._pipeline, options.wanted, marks)
            spans = self._setting.spans(snapshot, selection)
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
                floors=self._setting.lane_ends(),
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
            ended = self._setting.run(stored, journal, set(), definition.by, stop, tell)
            return Ended(definition, ended)

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
            stored, recorded = read_replay(self._kafka, self._topology, name)
            copies = self._setting.copies(stored, recorded)
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
            ended = self._setting.run(stored, journal, copies, actor, stop, tell)
            return Ended(stored.definition, ended)

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
