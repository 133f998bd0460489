"""The children of `headrace up`: their ports, their places, and what is announced of them."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.console import output

if TYPE_CHECKING:
    from headrace.consumers.supervisor import Program
    from headrace.pipeline.pipeline import Pipeline
    from headrace.pipeline.settings import KafkaSettings

PROJECTOR: Final = "processors projector"
STATISTICS: Final = "processors statistics"
_BOOTSTRAP: Final = "HEADRACE_BOOTSTRAP_SERVERS"
_STORE: Final = "HEADRACE_STORE_URL"
_STREAMS: Final = "HEADRACE_STATS_DIR"
Port = int


def ports(count: int, late: range) -> list[Port]:
    """A port for each child: counting up from HEADRACE_HTTP_PORT, or free ones.

    Those that are started later choose a free one then: what is free now may be taken by that time.
    """
    from headrace.pipeline.settings import HttpSettings
    from headrace.pipeline.settings import load as load_settings

    settings = load_settings(HttpSettings)
    if not settings.http_enabled:
        return [0] * count
    if settings.http_port:
        return list(range(settings.http_port, settings.http_port + count))
    sockets = [socket.create_server((settings.http_host, 0)) for _ in range(count)]
    free = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return [0 if index in late else port for index, port in enumerate(free)]


def places(directory: Path) -> dict[str, str]:
    """Where the children keep what they derive, unless the environment says."""
    own = {_STORE: f"sqlite:///{directory / 'store.db'}", _STREAMS: str(directory / "streams")}
    return {name: os.environ.get(name) or place for name, place in own.items()}


def placed(
    child: "Program", kafka: "KafkaSettings", port: Port, places: Mapping[str, str]
) -> "Program":
    """Tell a child where Kafka and its files are, and which port is its own."""
    index = int(child.name.rpartition(" ")[2])
    own: Mapping[str, str] = {
        **places,
        _BOOTSTRAP: kafka.bootstrap_servers,
        # A child counts up from the first port by its index.
        "HEADRACE_HTTP_PORT": str(port - index if port else 0),
    }
    return replace(child, environment=own)


def announce(
    pipeline: "Pipeline",
    kafka: "KafkaSettings",
    log: Path | None,
    programs: list["Program"],
    ports: list[Port],
    directory: Path,
) -> None:
    """Tell what runs, and where to look at it."""
    from headrace.pipeline.settings import HttpSettings
    from headrace.pipeline.settings import load as load_settings

    host = load_settings(HttpSettings).http_host
    rows: list[tuple[str, object]] = [
        ("pipeline", f"{pipeline.name}, job types: {', '.join(pipeline.job_types) or 'none'}"),
        ("kafka", kafka.bootstrap_servers),
        ("its log", log),
        *(
            (("store", directory / "store.db"),)
            if _runs(PROJECTOR, programs) and _STORE not in os.environ
            else ()
        ),
        *(
            (child.name, f"http://{host}:{port}/health/ready  /metrics")
            for child, port in zip(programs, ports, strict=True)
            if port
        ),
        ("statistics", "headrace stats --watch" if _runs(STATISTICS, programs) else None),
    ]
    output.facts(rows)
    if _BOOTSTRAP not in os.environ:
        output.progress(
            "Ctrl-C stops everything; what runs may end first, a second one does not wait"
        )


def _runs(command: str, programs: list["Program"]) -> bool:
    name = command.rsplit(maxsplit=1)[-1]
    return any(each.name.startswith(f"{name} ") for each in programs)
