"""Why a broker ended before it served, read from what it wrote."""

from pathlib import Path

from headrace.pipeline.broker.configuration import Ports
from headrace.pipeline.broker.errors import (
    BrokerError,
    DataInUseError,
    DiskFullError,
    PortInUseError,
    StartError,
)
from headrace.pipeline.broker.layout import Layout

_LINES = 15
_READ_BYTES = 64 * 1024


def of_ended(layout: Layout, ports: Ports) -> BrokerError:
    """The error for a broker whose process is gone."""
    said = _end_of(layout.console) + _end_of(layout.log)
    if "Address already in use" in said:
        taken = ports.controller if f":{ports.controller}" in _failed_bind(said) else ports.client
        return PortInUseError(taken)
    if "Failed to acquire lock" in said:
        return DataInUseError(
            f"another process holds the data in {layout.data}",
            "end it (`ps -ef | grep kafka.Kafka` shows it) and start again",
        )
    if "No space left on device" in said:
        return DiskFullError(
            f"the disk of {layout.data} is full", "free at least 200 MiB and start again"
        )
    return StartError(
        "Kafka ended before it served clients",
        f"the end of its log ({layout.log}):\n{last_lines(layout)}",
    )


def last_lines(layout: Layout) -> str:
    """The end of the broker's log, and of what the JVM itself said."""
    return tail_of(_end_of(layout.log) + _end_of(layout.console))


def end_of(path: Path) -> str:
    """The last lines of a file, indented; of one that cannot be read, none."""
    return tail_of(_end_of(path))


def tail_of(text: str) -> str:
    """The last lines of a text, indented."""
    lines = [line for line in text.splitlines() if line.strip()][-_LINES:]
    return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"


def _failed_bind(said: str) -> str:
    return " ".join(line for line in said.splitlines() if "ailed to bind" in line)


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _READ_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
