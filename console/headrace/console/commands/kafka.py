"""`headrace kafka`: the embedded broker."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.options import Json

if TYPE_CHECKING:
    from headrace.pipeline.broker import BrokerStatus

app = typer.Typer(
    no_args_is_help=True,
    help="The embedded broker: a real Apache Kafka on this machine, for development.",
)
_NOT_RUNNING = 3
"""The exit code of `status` for a service that is not running, as init scripts have it."""

Directory = Annotated[
    Path,
    typer.Option("--directory", help="The folder that holds the broker's data and its address."),
]


@app.command()
def start(
    directory: Directory = Path(".headrace"),
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="The port on 127.0.0.1; the last one or any free one when not given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start the broker in the background, or find it running. Data stays between starts."""
    from headrace.pipeline import broker

    options = broker.BrokerOptions(directory=directory, port=port, progress=output.progress)
    address = broker.start(options)
    output.facts(
        (
            ("kafka", "started" if address.started else "was running already"),
            ("bootstrap", address.bootstrap),
            ("process", address.pid),
            ("data", address.directory),
            ("log", address.log),
        )
    )


@app.command()
def stop(directory: Directory = Path(".headrace")) -> None:
    """Stop the broker; its data stays."""
    from headrace.pipeline import broker

    ran = broker.stop(directory, progress=output.progress)
    print("kafka stopped" if ran else f"no kafka runs in {directory}")


@app.command()
def status(directory: Directory = Path(".headrace"), *, json: Json = False) -> None:
    """Tell whether the broker runs: exit code 0 when it does, else 3."""
    from headrace.pipeline import broker

    found = broker.status(directory)
    if json:
        output.print_json(_as_json(found))
    else:
        output.facts(_rows(found))
    if found.state is not broker.BrokerState.RUNNING:
        raise typer.Exit(_NOT_RUNNING)


def _rows(found: "BrokerStatus") -> list[tuple[str, object]]:
    lives = found.pid is not None
    return [
        ("kafka", f"{found.state.value} ({found.version})"),
        ("bootstrap" if lives else "last at", found.bootstrap),
        ("process", found.pid),
        ("up for", output.shown_duration(found.uptime) if found.uptime else None),
        ("data", f"{output.shown_bytes(found.data_bytes)} in {found.directory}"),
        ("log", found.log if lives else None),
    ]


def _as_json(found: "BrokerStatus") -> dict[str, Any]:
    return {
        "state": found.state.value,
        "bootstrap": found.bootstrap,
        "pid": found.pid,
        "uptime_seconds": found.uptime.total_seconds() if found.uptime else None,
        "version": found.version,
        "data_bytes": found.data_bytes,
        "directory": str(found.directory),
        "log": str(found.log),
    }
