"""The demo, step by step: broker, topics, processes, jobs, read-back, plain loop, comparison."""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from examples.source_audit.compare import Audit, differences
from examples.source_audit.crew import Crew
from examples.source_audit.display import Display
from examples.source_audit.jobs import audit
from examples.source_audit.options import DemoError, Options
from examples.source_audit.plain import audit_plainly
from examples.source_audit.readback import Account, RunEvents, Standing, read_back
from examples.source_audit.submission import Submitted, find_files, submit
from headrace.pipeline import broker, settings
from headrace.pipeline.settings import KafkaSettings, TopicSettings
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.schemas.states import JobState

STALLED = 90.0
"""Seconds without a finished job after which the demo gives up: a killed worker's lanes are taken
over in 6 s, and a failing job waits for seconds, not for a minute."""
LOOK_EVERY = 0.1
"""Seconds between looks at the processes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the report tells.

    Attributes:
        run: The run's name, which is the tenant of its jobs.
        bootstrap: Where Kafka is, or was.
        submitted: The jobs.
        jobs: What they came to, by the topics.
        plain: What the plain loop came to.
        plain_seconds: What that took.
        restarts: How many processes died and were started again.
        differences: In what the two differ.
        seconds: The whole demo, so far.
    """

    run: str
    bootstrap: str
    submitted: Submitted
    jobs: Account
    plain: Audit
    plain_seconds: float
    restarts: int
    differences: list[str]
    seconds: float


def run_demo(options: Options, display: Display) -> Outcome:
    """Run the demo.

    Raises:
        HeadraceError: It could not be carried out; differences are no error here.
    """
    began = time.monotonic()
    run = f"run-{secrets.token_hex(4)}"
    files = find_files(options.directory, options.limit)
    if not files:
        raise DemoError(f"{options.directory} holds no .py files: name another --directory")
    with _broker(options, display) as address:
        kafka = settings.load(KafkaSettings, bootstrap_servers=address.bootstrap)
        _make_topics(kafka, display)
        with closing(RunEvents(kafka, run)) as events:
            with Crew(address.bootstrap, options.logs) as crew:
                submitted = submit(kafka, options.directory, files, run)
                _tell_submitted(submitted, display)
                _follow(events, crew, len(submitted.paths), display)
            jobs = read_back(kafka, run, events.start, submitted.paths)
    plain_began = time.monotonic()
    plain = _plainly(options, len(files), display)
    ended = time.monotonic()
    return Outcome(
        run,
        address.bootstrap,
        submitted,
        jobs,
        plain,
        ended - plain_began,
        crew.restarts,
        differences(jobs.audit, plain),
        ended - began,
    )


@contextmanager
def _broker(options: Options, display: Display) -> Iterator[broker.BrokerAddress]:
    """A running broker; one that this demo started is stopped again unless it is to be kept."""
    directory = options.broker_directory
    address = broker.start(
        broker.BrokerOptions(directory=directory, progress=lambda line: display.note(line, "dim"))
    )
    found = "" if address.started else ", which was running already"
    display.fact("kafka", f"{address.bootstrap}{found}, data in {directory}")
    try:
        yield address
    finally:
        if address.started and not options.keep_broker:
            broker.stop(directory)


def _make_topics(kafka: KafkaSettings, display: Display) -> None:
    plan = plan_topics(audit, kafka, settings.load(TopicSettings))
    if plan.nothing_to_do and not plan.refused:
        display.fact("topics", f"{len(plan.steps)}, as declared")
        return
    report = apply_plan(plan, kafka)
    if report.refused:
        raise DemoError("\n".join(report.refused))
    display.fact("topics", f"{len(report.created)} made of {len(plan.steps)}")


def _tell_submitted(submitted: Submitted, display: Display) -> None:
    lanes = ", ".join(
        f"{submitted.priorities.get(lane.priority, 0):,} {lane.priority}"
        for lane in audit.topology.lanes()
    )
    count, seconds = len(submitted.paths), submitted.seconds
    display.fact("submitted", f"{count:,} jobs in {seconds:.2f} s: {lanes}")


def _follow(events: RunEvents, crew: Crew, total: int, display: Display) -> None:
    """Show progress until every job has finished, or none does any more."""
    standing = events.standing
    last, finished, next_look = time.monotonic(), 0, 0.0
    with display.bar("jobs", total) as bar:
        while standing.finished < total:
            events.read(LOOK_EVERY)
            now = time.monotonic()
            if now < next_look:
                continue
            next_look = now + LOOK_EVERY
            for role, pid, former in crew.news():
                _tell_process(role, pid, former, display)
            if standing.finished > finished:
                finished, last = standing.finished, now
            elif now - last > STALLED:
                display.note(f"No job has finished for {STALLED:g} s; giving up", "bold red")
                display.note(crew.log_tail(), "dim")
                return
            bar.update(finished, _tail(standing))
        bar.update(standing.finished, _tail(standing))


def _tell_process(role: str, pid: int, former: int | None, display: Display) -> None:
    if former is not None:
        display.fact(role, f"process {former} died; process {pid} takes over")
    else:
        hint = f"   (try it: kill -9 {pid})" if role == "worker" else ""
        display.fact(role, f"process {pid}{hint}")


def _tail(standing: Standing) -> str:
    dead, waiting = standing.count(JobState.DEAD), standing.count(JobState.RETRYING)
    parts = [f"{standing.rate:,.0f} jobs/s"] if standing.rate else []
    parts += [f"{dead} dead"] if dead else []
    parts += [f"{waiting} retrying"] if waiting else []
    return ", ".join(parts)


def _plainly(options: Options, total: int, display: Display) -> Audit:
    with display.bar("plain loop", total) as bar:
        return audit_plainly(options.directory, options.limit, bar.update)
