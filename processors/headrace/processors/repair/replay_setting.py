"""What a replay finds when it begins or is resumed: topics, letters, lanes, and what lies on them."""

import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Final

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.job_history import require
from headrace.processors.repair.replay_check import LetterCheck
from headrace.processors.repair.replay_definition import ReplayOptions, ReplayProgress
from headrace.processors.repair.replay_journal import ReplayJournal
from headrace.processors.repair.replay_lanes import Copy, LaneWriter, written_since
from headrace.processors.repair.replay_letters import LetterSelection, LiveMarks
from headrace.processors.repair.replay_run import ReplayRun, Tell, Tools
from headrace.processors.repair.replay_store import ReplayedJob, StoredReplay
from headrace.processors.snapshot import Cluster, LogSpan, Snapshot

_SEEN_ROLES: Final = (Role.LANE, Role.DEAD_LETTERS)


class ReplaySetting:
    """Looks at the cluster for replays of one pipeline. Errors as of `Replays`."""

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._topology = pipeline.topology
        self._kafka = kafka
        self._cluster = Cluster(kafka)

    def run(
        self,
        stored: StoredReplay,
        journal: ReplayJournal,
        copies: set[Copy],
        actor: str,
        stop: threading.Event,
        tell: Tell,
    ) -> ReplayProgress:
        """Work on a replay until its end, or until `stop` is set."""
        options = stored.definition.options
        snapshot = self.look(options)
        with ExitStack() as stack:
            marks = stack.enter_context(LiveMarks(self._kafka, self._topology.letters))
            writer = LaneWriter(self._kafka, _partitions(snapshot))
            stack.callback(writer.close)
            tools = Tools(
                self._kafka,
                self._topology,
                LetterSelection(self._pipeline, options.wanted, marks),
                marks,
                self.check(options, snapshot),
                writer,
                journal,
                self.lane_ends,
                copies,
                actor,
            )
            return ReplayRun(stored, tools).run(stop, tell)

    def look(self, options: ReplayOptions) -> Snapshot:
        """Look at lanes and dead letters, after a look at what was asked for.

        Raises:
            SettingsError: A queue or priority that the pipeline does not declare.
        """
        options.aim.check(self._pipeline)
        for queue in options.wanted.queues:
            if queue not in self._pipeline.queues:
                raise SettingsError(
                    f"pipeline {self._pipeline.name!r} declares no queue {queue!r} (declared: "
                    f"{', '.join(self._pipeline.queues)})"
                )
        return self._cluster.snapshot(self._pipeline, _SEEN_ROLES)

    def spans(self, snapshot: Snapshot, selection: LetterSelection) -> list[LogSpan]:
        """Give what the dead-letter topics hold that are meant."""
        topics = selection.topics()
        for topic in topics:
            require(snapshot, topic)
        return [span for span in snapshot.of((Role.DEAD_LETTERS,)) if span.topic in topics]

    def check(self, options: ReplayOptions, snapshot: Snapshot) -> LetterCheck:
        """Make what tells which letters would run."""
        return LetterCheck(self._pipeline, self._kafka, options.aim, set(_partitions(snapshot)))

    def lane_ends(self) -> Mapping[Place, int]:
        """Tell where the lanes end now."""
        return {span.place: span.end for span in self._lane_spans()}

    def copies(self, stored: StoredReplay, recorded: Iterable[ReplayedJob]) -> set[Copy]:
        """Find what a process that died wrote to lanes without recording it.

        Args:
            stored: The replay.
            recorded: What it wrote and recorded.

        Raises:
            ReplayError: A lane does not tell any more.
        """
        floors, name = stored.progress.floors, stored.definition.name
        found = written_since(self._kafka, self._lane_spans(), floors, name)
        return found - {(job.job_id, job.generation) for job in recorded}

    def _lane_spans(self) -> list[LogSpan]:
        return self._cluster.snapshot(self._pipeline, (Role.LANE,)).of((Role.LANE,))


def _partitions(snapshot: Snapshot) -> dict[str, int]:
    """How many partitions each existing lane has."""
    counts: dict[str, int] = {}
    for span in snapshot.of((Role.LANE,)):
        counts[span.topic] = counts.get(span.topic, 0) + 1
    return counts
