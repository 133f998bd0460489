"""Running child processes as the one part of a process."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from headrace.console.process.life import live
from headrace.console.process.part import Part, Service
from headrace.console.process.signals import Inbox
from headrace.consumers.supervisor import Program, Supervisor, SupervisorOptions
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import HttpSettings, load

_BEYOND_DRAIN: Final = timedelta(seconds=30)
"""A child may need this beyond its drain budget: the last commit, leaving groups, executors."""
_LAST_PORT: Final = 65_535


def supervise(
    programs: Sequence[Program],
    drain_budget: timedelta,
    beside: Callable[[Supervisor], Service] | None = None,
) -> int:
    """Keep the programs alive until a signal; gives the exit code.

    Args:
        programs: Those that are started first.
        drain_budget: Of a child.
        beside: Makes what adds and retires children while they run.
    """
    options = SupervisorOptions(grace=drain_budget + _BEYOND_DRAIN)
    supervisor = Supervisor(programs, options)
    inbox = Inbox()
    inbox.listen()

    def kill_and_exit(code: int) -> None:
        supervisor.kill()
        raise SystemExit(code)

    parts: list[Part[Any]] = [Part("supervisor", lambda _: supervisor)]
    if beside is not None:
        parts.append(Part("autoscaling", lambda _: beside(supervisor)))
    return live(parts, inbox, exit_now=kill_and_exit)


def check_ports(processes: int) -> None:
    """Refuse a first port that leaves no room for the others.

    Raises:
        SettingsError: The last child's port would be over 65535.
    """
    port = load(HttpSettings).http_port
    if port and port + processes - 1 > _LAST_PORT:
        raise SettingsError(
            f"HEADRACE_HTTP_PORT={port}: {processes} processes count up from it, beyond "
            f"{_LAST_PORT}; choose a lower port, or 0 for any free ones"
        )
