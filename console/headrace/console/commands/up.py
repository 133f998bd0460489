"""`headrace up`: everything that a pipeline needs, on this machine, with one command."""

import importlib.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands.up_autoscale import (
    Autoscale,
    JobsPerSecond,
    ScaleStrategy,
    ScaleWait,
    autoscaled,
    talkative,
)
from headrace.console.commands.up_children import (
    PROJECTOR,
    STATISTICS,
    announce,
    placed,
    places,
    ports,
)
from headrace.console.commands.worker import Concurrency, program, worker_options
from headrace.console.options import AppDir, From, Reference, load, required
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.console.process.role import Role
    from headrace.consumers.supervisor import Program
    from headrace.pipeline.pipeline import Pipeline
    from headrace.pipeline.settings import KafkaSettings


class UpError(HeadraceError):
    """Something that `headrace up` needs cannot be had."""


def up(
    pipeline: Reference = None,
    *,
    concurrency: Concurrency = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=512,
            metavar="N",
            help="Worker processes; 1 when not given.",
            show_default=False,
        ),
    ] = None,
    autoscale: Autoscale = None,
    scale_strategy: ScaleStrategy = "local",
    jobs_per_second: JobsPerSecond = 20.0,
    scale_wait: ScaleWait = "5s",  # type: ignore[assignment]
    begin: From = None,
    keep_broker: Annotated[
        bool, typer.Option("--keep-broker", help="Leave the broker running when this ends.")
    ] = False,
    directory: Annotated[
        Path, typer.Option("--directory", help="The folder of the embedded broker.")
    ] = Path(".headrace"),
    projector: Annotated[
        bool, typer.Option("--projector/--no-projector", help="Keep the query store up to date.")
    ] = True,
    statistics: Annotated[
        bool,
        typer.Option("--statistics/--no-statistics", help="Count rates, errors and waiting times."),
    ] = True,
    app_dir: AppDir = None,
) -> None:
    """Run a pipeline on this machine: broker, topics, workers, scheduler, store and statistics.

    Until Ctrl-C. The embedded broker is started if none runs, unless HEADRACE_BOOTSTRAP_SERVERS names
    a Kafka; it is stopped again at the end, and its data stays. The query store is a file in the
    broker's folder, unless HEADRACE_STORE_URL names another. Store and statistics need the extra
    `processors`; without it the rest runs, and says so.

    With --autoscale there is a worker more for every so many ready jobs as one does within the wait; it
    is decided every second, and a worker that goes ends what it runs.
    """
    from headrace.console.process.role import Role, configure_logs
    from headrace.console.process.supervised import check_ports, supervise
    from headrace.pipeline.settings import WorkerSettings
    from headrace.pipeline.settings import load as load_settings

    reference = required(pipeline)
    # Until the children run, a SIGTERM unwinds as Ctrl-C does, so that the broker is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    role = Role("up", reference, start=begin)
    configure_logs(role)
    scaled = autoscaled(
        autoscale, processes, scale_strategy, jobs_per_second, scale_wait, concurrency, app_dir
    )
    least, most = scaled.span if scaled else (processes or 1, processes or 1)
    derived = _derived(projector=projector, statistics=statistics)
    children = most + 1 + len(derived)
    check_ports(children)
    budget = load_settings(WorkerSettings).worker_drain_budget
    declared = load(reference, app_dir)
    if scaled is not None and (idle := scaled.idle(declared)):
        output.progress(idle)
    with _broker(directory, keep=keep_broker) as (kafka, log):
        _apply(declared, kafka, begin)
        programs = _programs(role, most, concurrency, app_dir)
        programs += _deriving(role, derived, most + 1, app_dir)
        numbers = ports(children, late=range(least, most))
        own = places(directory)
        programs = [placed(p, kafka, port, own) for p, port in zip(programs, numbers, strict=True)]
        announce(declared, kafka, log, programs, numbers, directory)
        if scaled is None:
            raise typer.Exit(supervise(programs, budget))
        workers = [talkative(each) for each in programs[:most]]
        first = [*workers[:least], *programs[most:]]
        raise typer.Exit(supervise(first, budget, scaled.beside(declared, kafka, workers)))


def _derived(*, projector: bool, statistics: bool) -> list[str]:
    """The commands that keep the store and the statistics, as far as they are wanted and installed."""
    wanted = {PROJECTOR: ("sqlalchemy", projector), STATISTICS: ("faust", statistics)}
    found = [command for command, (module, is_wanted) in wanted.items() if is_wanted]
    missing = [command for command in found if not _is_installed(wanted[command][0])]
    if missing:
        names = " and ".join(f"`headrace {command}`" for command in missing)
        output.progress(f"{names} left out: install headrace[processors] to have it here too")
    return [command for command in found if command not in missing]


def _programs(
    role: "Role", processes: int, concurrency: int | None, app_dir: Path | None
) -> list["Program"]:
    """The children that run jobs: workers and a scheduler."""
    reference = role.reference
    options = worker_options(role, concurrency, app_dir)
    programs = [program("worker", reference, i, *options) for i in range(processes)]
    scheduling = worker_options(role, None, app_dir)
    return [*programs, program("scheduler", reference, processes, *scheduling)]


def _deriving(
    role: "Role", commands: list[str], index: int, app_dir: Path | None
) -> list["Program"]:
    """The children that read what becomes of jobs."""
    where = () if app_dir is None else ("--app-dir", str(app_dir))
    return [
        program(command, role.reference, index + number, *where)
        for number, command in enumerate(commands)
    ]


@contextmanager
def _broker(directory: Path, *, keep: bool) -> Iterator[tuple["KafkaSettings", Path | None]]:
    """The Kafka that is set, or the embedded one for the length of the block."""
    from headrace.pipeline import broker
    from headrace.pipeline.settings import KafkaSettings
    from headrace.pipeline.settings import load as load_settings

    kafka = load_settings(KafkaSettings)
    if kafka.bootstrap_servers:
        yield kafka, None
        return
    options = broker.BrokerOptions(directory=directory, progress=output.progress)
    address = broker.start(options)
    if not address.started:
        output.progress(
            f"Kafka runs already on {address.bootstrap}: this command leaves it running, but it "
            "ends with the `headrace up` or `headrace kafka stop` that it belongs to"
        )
    try:
        yield load_settings(KafkaSettings, bootstrap_servers=address.bootstrap), address.log
    finally:
        if address.started and not keep:
            broker.stop(directory, progress=output.progress)
            output.progress(f"Kafka stopped; its data stays in {address.directory}")


def _apply(pipeline: "Pipeline", kafka: "KafkaSettings", begin: "From") -> None:
    """Make the topics; show the plan only when there is something to do."""
    from headrace.pipeline.settings import TopicSettings
    from headrace.pipeline.settings import load as load_settings
    from headrace.pipeline.topics import apply_plan, plan_topics

    plan = plan_topics(pipeline, kafka, load_settings(TopicSettings), start=begin)
    if plan.refused:
        raise UpError("\n".join(plan.refused))
    if plan.nothing_to_do:
        return
    report = apply_plan(plan, kafka)
    output.progress(report.summary)
    if report.refused:
        raise UpError("\n".join(report.refused))


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
