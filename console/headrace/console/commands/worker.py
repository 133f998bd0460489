"""`headrace worker` and `headrace scheduler`: the processes that run jobs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.options import (
    AppDir,
    From,
    Priorities,
    Queues,
    Reference,
    Start,
    load,
    required,
    split,
)
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.console.process.role import Role
    from headrace.consumers.supervisor import Program
    from headrace.pipeline.settings import WorkerSettings

Concurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        metavar="N",
        help="Jobs that one process runs at a time; HEADRACE_WORKER_CONCURRENCY when not given.",
        show_default=False,
    ),
]
Processes = Annotated[
    int,
    typer.Option(min=1, max=512, metavar="N", help="Worker processes, kept alive by a supervisor."),
]
Index = Annotated[int | None, typer.Option("--index", hidden=True)]


def worker(
    pipeline: Reference = None,
    *,
    queue: Queues = None,
    priority: Priorities = None,
    concurrency: Concurrency = None,
    processes: Processes = 1,
    begin: From = None,
    app_dir: AppDir = None,
    index: Index = None,
) -> None:
    """Run jobs: all lanes, or those of some queues and priorities.

    The first SIGTERM or Ctrl-C lets running jobs end, the second gives them back at once.
    Health and metrics are served on HEADRACE_HTTP_PORT.
    """
    role = _role("worker", pipeline, begin, index)

    def run() -> int:
        settings = _worker_settings(concurrency)
        if processes > 1:
            return _supervise(role, settings, processes, app_dir, split(queue), split(priority))
        return _work(role, settings, app_dir, split(queue), split(priority))

    _end(role, run)


def scheduler(
    pipeline: Reference = None,
    *,
    begin: From = None,
    app_dir: AppDir = None,
    index: Index = None,
) -> None:
    """Move due jobs from the delay tiers back to their lanes. Several share the work."""
    role = _role("scheduler", pipeline, begin, index)

    def run() -> int:
        from headrace.console.process.role import RoleProcess, configure_logs

        log = configure_logs(role)
        process = RoleProcess(role, load(role.reference, app_dir), log)
        process.add_scheduler()
        return process.run()

    _end(role, run)


def _role(name: str, reference: str | None, begin: Start | None, index: int | None) -> "Role":
    from headrace.console.process.role import Role

    return Role(name, required(reference), index, begin)


def _end(role: "Role", run: Callable[[], int]) -> None:
    """Exit with what `run` gives; tell a supervisor which errors a restart does not mend."""
    from headrace.consumers.supervisor import HOPELESS
    from headrace.pipeline.errors import KafkaUnavailableError

    try:
        code = run()
    except HeadraceError as error:
        if role.index is None or isinstance(error, KafkaUnavailableError):
            raise
        output.print_error(error)
        code = HOPELESS
    raise typer.Exit(code)


def _worker_settings(concurrency: int | None) -> "WorkerSettings":
    from headrace.pipeline import settings

    return settings.load(settings.WorkerSettings, worker_concurrency=concurrency)


def _work(
    role: "Role",
    settings: "WorkerSettings",
    app_dir: Path | None,
    queues: tuple[str, ...],
    priorities: tuple[str, ...],
) -> int:
    from headrace.console.process.role import RoleProcess, configure_logs
    from headrace.consumers.modes import duties

    log = configure_logs(role)
    pipeline = load(role.reference, app_dir)
    task = duties(pipeline, settings, queues=queues, priorities=priorities)
    process = RoleProcess(role, pipeline, log)
    if task.lanes:
        process.add_worker(task.lanes, task.concurrency, settings)
    if task.scheduler:
        process.add_scheduler()
    return process.run()


def _supervise(
    role: "Role",
    settings: "WorkerSettings",
    processes: int,
    app_dir: Path | None,
    queues: tuple[str, ...],
    priorities: tuple[str, ...],
) -> int:
    """Check everything once here, so that a wrong call ends at once; then start the children."""
    from headrace.console.process.role import configure_logs
    from headrace.console.process.supervised import check_ports, supervise
    from headrace.consumers.modes import duties

    configure_logs(role)
    check_ports(processes)
    duties(load(role.reference, app_dir), settings, queues=queues, priorities=priorities)
    options = worker_options(role, settings.worker_concurrency, app_dir, queues, priorities)
    if "worker_concurrency" not in settings.model_fields_set:
        options = worker_options(role, None, app_dir, queues, priorities)
    programs = [program("worker", role.reference, i, *options) for i in range(processes)]
    return supervise(programs, settings.worker_drain_budget)


def worker_options(
    role: "Role",
    concurrency: int | None,
    app_dir: Path | None,
    queues: tuple[str, ...] = (),
    priorities: tuple[str, ...] = (),
) -> list[str]:
    """Write a worker's options as its children get them."""
    given: list[tuple[str, object]] = [
        *(("--queue", name) for name in queues),
        *(("--priority", name) for name in priorities),
        ("--concurrency", concurrency),
        ("--from", role.start),
        ("--app-dir", app_dir),
    ]
    return [str(part) for pair in given if pair[1] is not None for part in pair]


def program(command: str, reference: str, index: int, *options: str) -> "Program":
    """Make the program of one child: this command again, told which one it is."""
    from headrace.consumers.supervisor import Program

    words = command.split()
    line = (sys.executable, "-m", "headrace", *words, reference, "--index", str(index), *options)
    return Program(f"{words[-1]} {index}", line)
