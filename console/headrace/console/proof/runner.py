"""A run of the proof, from an empty folder to drained lanes; what it proves is the checker's to say.

1. A broker, unless there is one; topics of the run's own; workers and a scheduler.
2. Jobs are submitted at a steady rate while faults are made.
3. No more of either; everything that was accepted gets the time to end.
4. The processes are ended. The broker stays until the topics have been read.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException

from headrace.console.proof import workload
from headrace.console.proof.cluster import Cluster, OwnCluster, UserCluster, make_topics
from headrace.console.proof.director import Director
from headrace.console.proof.offsets import Offsets
from headrace.console.proof.processes import Crew
from headrace.console.proof.records import RunInfo
from headrace.console.proof.run_folder import RunFolder
from headrace.console.proof.run_options import (
    ProofOptions,
    State,
    machine,
    unseen,
    versions,
)
from headrace.console.proof.scene import Scene
from headrace.console.proof.seeded import FaultStream, JobStream, Pace, kinds_of
from headrace.console.proof.sightings import Sightings
from headrace.console.proof.submitting import Submitter
from headrace.pipeline.broker.options import silent
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings

_DRAIN: Final = 360.0
"""Seconds that accepted jobs get to end: the longest delay is 80 s, the longest session 45 s, and
suspects of deaths run one at a time, a few a second."""
_LOOK: Final = 0.25
_MOST_OVERTIME: Final = 600.0
"""Seconds beyond the time asked for, in which a number of faults asked for may still be reached."""
_LONG_ENOUGH: Final = 2.0
"""Minutes from which on some jobs wait for more than one."""


@dataclass
class Run:
    """One run. Make it, `play` it, read its topics, `close` it.

    Attributes:
        complete: Whether it came to its planned end.
        skipped: Kinds of the scenario that cannot be made on this cluster.
    """

    options: ProofOptions
    complete: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[str], None] = field(default=silent)
    show: Callable[[State], None] = field(default=unseen)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        own = self.options.kafka is None
        self.kinds, self.skipped = kinds_of(self.options.scenario, own_broker=own)
        self.run_id = uuid.uuid4().hex[:8]
        self.folder = RunFolder(self.options.folder)
        self.pipeline: Pipeline = workload.make(f"{workload.PREFIX}{self.run_id}")
        self._began = time.monotonic()

    # -- life --------------------------------------------------------------------------------------

    def play(
        self, tell: Callable[[str], None] = silent, show: Callable[[State], None] = unseen
    ) -> None:
        """Do the whole run; the broker still serves when this returns, the workers have ended.

        Args:
            tell: Told a line about what a person would want to know.
            show: Shown the state four times a second.

        Raises:
            HeadraceError: Something that the run needs cannot be had.
            KeyboardInterrupt: The user wants it to end; everything but the broker was ended.
        """
        self.tell, self.show = tell, show
        self._keep_log()
        self._open()
        self.folder.write_info(self._info())
        self.folder.begin_faults()
        try:
            self._play()
            self.complete = True
        finally:
            self.stopping.set()
            self._end_processes()

    def close(self) -> None:
        """End the cluster, or remove what was made on the user's."""
        self._stack.close()

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker."""
        return self.cluster.kafka

    def _keep_log(self) -> None:
        """Kafka clients say a lot while their broker is killed: into a file, not on the screen."""
        path = self.options.folder / "logs" / "runner.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("headrace.kafka")
        logger.addHandler(handler)
        self._stack.callback(handler.close)
        self._stack.callback(logger.removeHandler, handler)

    def _open(self) -> None:
        options = self.options
        self.cluster: Cluster = (
            OwnCluster(options.folder, options.workers + 1, self.tell)
            if options.kafka is None
            else UserCluster(options.kafka, self.pipeline)
        )
        self._stack.callback(self.cluster.close)
        make_topics(self.pipeline, self.kafka)
        self.session = self.cluster.session_timeout()
        self.offsets = Offsets(self.kafka, self.pipeline)
        self._stack.callback(self.offsets.close)
        self.sightings = Sightings(options.folder)
        lanes = tuple(lane.topic for lane in self.pipeline.topology.lanes())
        self.crew = Crew(self.folder, self.cluster, self.pipeline.name, lanes, options.concurrency)
        self._stack.callback(self.crew.kill)

    def _play(self) -> None:
        for slot in range(self.options.workers):
            self.crew.start_worker(slot)
        self.crew.start_scheduler(0)
        submitter, director = self._submitter(), self._director()
        with _thread(submitter.run, submitter.enough), _thread(director.run, director.enough):
            try:
                self._watch_until_enough(submitter, director)
            except BaseException:
                self.stopping.set()  # faults that wait for something need not be waited for
                raise
        for error in (submitter.error, *director.errors):
            if error is not None:
                raise error
        self._drain(submitter, director)

    def _watch_until_enough(self, submitter: Submitter, director: Director) -> None:
        seconds = self.options.minutes * 60
        self._watch("running", submitter, director, lambda: False, seconds)
        if self.options.faults is not None and self.kinds:
            self._watch("more faults", submitter, director, director.over.is_set, _MOST_OVERTIME)
        director.enough.set()
        self._watch("last faults", submitter, director, director.over.is_set, _MOST_OVERTIME)
        submitter.enough.set()

    def _watch(
        self,
        phase: str,
        submitter: Submitter,
        director: Director,
        over: Callable[[], bool],
        seconds: float,
        remaining: Callable[[], int] = int,
    ) -> None:
        """Look after the crew and show the state until it is over, or the time is."""
        deadline = time.monotonic() + seconds
        while not over() and time.monotonic() < deadline and submitter.error is None:
            self._replace_what_ended()
            self.sightings.look()
            self.show(self._state(phase, submitter, director, remaining()))
            time.sleep(_LOOK)

    def _replace_what_ended(self) -> None:
        for ended in self.crew.look():
            self.tell(
                f"{ended.role} {ended.pid} ended by itself ({ended.process.returncode}); "
                f"its log: {ended.log}"
            )
            if ended.role == "worker":
                self.crew.start_worker(ended.slot)
            else:
                self.crew.start_scheduler(ended.slot)

    def _drain(self, submitter: Submitter, director: Director) -> None:
        """Wait until nothing is left on lanes and tiers, or the time for it is over."""
        left = [1]

        def nothing_left() -> bool:
            try:
                left[0] = sum(self.offsets.remaining().values())
            except KafkaException as error:
                self.tell(f"the broker does not tell what is left: {error}")
            return left[0] == 0

        self._watch("draining", submitter, director, nothing_left, _DRAIN, lambda: left[0])

    def _end_processes(self) -> None:
        if self.complete:
            self.crew.stop()
        else:
            self.crew.kill()

    # -- parts -------------------------------------------------------------------------------------

    def _submitter(self) -> Submitter:
        ordered = workload.ORDERED in self.pipeline.queues
        hops = self.options.minutes >= _LONG_ENOUGH
        jobs = iter(JobStream(self.options.seed, ordered=ordered, hops=hops))
        return Submitter(
            self.pipeline, self.kafka, jobs, self.options.rate, self.folder, self.sightings
        )

    def _director(self) -> Director:
        topology = self.pipeline.topology
        scene = Scene(
            cluster=self.cluster,
            crew=self.crew,
            sightings=self.sightings,
            offsets=self.offsets,
            session=self.session,
            workers=self.options.workers,
            dead_letters=tuple(topology.dead_letters(name) for name in self.pipeline.queues),
            stopping=self.stopping,
        )
        pace = Pace(self.options.faults, self.options.minutes * 60 * 0.95)
        stream = FaultStream(self.options.seed, self.kinds)
        return Director(scene, stream, self.folder, pace, self.tell)

    def _state(self, phase: str, submitter: Submitter, director: Director, remaining: int) -> State:
        return State(
            phase=phase,
            seconds=time.monotonic() - self._began,
            accepted=submitter.accepted,
            done=self.sightings.done,
            faults=director.made.total(),
            now=director.now,
            workers=len(self.crew.running()),
            remaining=remaining,
        )

    def _info(self) -> RunInfo:
        ordered = [
            lane.topic for lane in self.pipeline.topology.lanes() if lane.queue == workload.ORDERED
        ]
        return RunInfo(
            run=self.run_id,
            seed=self.options.seed,
            pipeline=self.pipeline.name,
            scenario=self.options.scenario,
            minutes=self.options.minutes,
            bootstrap=self.kafka.bootstrap_servers,
            versions=versions(),
            machine=machine(),
            session_timeout_seconds=self.session.total_seconds(),
            concurrency=self.options.concurrency,
            ordered=tuple(ordered),
            group_protocol=self.kafka.group_protocol.value,
        )


@contextmanager
def _thread(run: Callable[[], None], enough: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=run, name="proof")
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
