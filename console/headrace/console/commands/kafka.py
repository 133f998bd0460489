"""`headrace kafka`: the embedded broker."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.console.options import AppDir, Json, Reference, load
from headrace.deploy.profile_kafka import Security

if TYPE_CHECKING:
    from headrace.console.commands.kafka_security import Guard
    from headrace.pipeline.broker import BrokerSecurity, BrokerStatus
    from headrace.pipeline.pipeline import Pipeline

app = typer.Typer(
    no_args_is_help=True,
    help="The embedded broker: a real Apache Kafka on this machine, for development.",
)
_NOT_RUNNING = 3
"""The exit code of `status` for a service that is not running, as init scripts have it."""

_ASKS_FOR: Final = {
    Security.PLAINTEXT: None,
    Security.SCRAM: "a password (SASL_SSL, SCRAM-SHA-512)",
    Security.MUTUAL_TLS: "a certificate (mutual TLS)",
}

Directory = Annotated[
    Path,
    typer.Option("--directory", help="The folder that holds the broker's data and its address."),
]


@app.command()
def start(
    pipeline: Reference = None,
    *,
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
    security: Annotated[
        Security | None,
        typer.Option(
            "--security",
            help="How clients prove who they are: not at all, by a password (SASL SCRAM-SHA-512) or "
            "by a certificate, both over TLS. As it was last started when not given. The pipeline "
            "says which users there are, and what each may do.",
            show_default=False,
        ),
    ] = None,
    app_dir: AppDir = None,
) -> None:
    """Start the broker in the background, or find it running. Data stays between starts.

    With --security it asks its clients who they are, and refuses whatever no rule allows. Certificates,
    users and passwords are made once and kept in the folder `kafka/security`; printed are the settings
    to connect with, which name those files. Topics are not made.
    """
    from headrace.pipeline import broker

    guard = _guard(directory, security)
    declared = _declared(pipeline, app_dir, guard, asked=security is not None)
    how = guard.options()
    options = broker.BrokerOptions(
        directory=directory, port=port, progress=output.progress, security=how
    )
    address = broker.start(options)
    output.facts(
        (
            ("kafka", "started" if address.started else "was running already"),
            ("bootstrap", address.bootstrap),
            ("asks for", _ASKS_FOR[guard.security]),
            ("process", address.pid),
            ("data", address.directory),
            ("log", address.log),
        )
    )
    if how is not None:
        _welcome(guard, declared, address.bootstrap, how)


def _guard(directory: Path, security: Security | None) -> "Guard":
    """Find out who may come in: as asked, else as before."""
    from headrace.console.commands.kafka_security import Guard, remembered
    from headrace.pipeline import broker
    from headrace.pipeline.broker.errors import AlreadyRunningError
    from headrace.pipeline.broker.layout import layout_of

    before = remembered(directory)
    wanted = before if security is None else security
    running = broker.status(directory).state in (
        broker.BrokerState.RUNNING,
        broker.BrokerState.STARTING,
    )
    if running and wanted is not before:
        raise AlreadyRunningError(
            f"the broker of {directory} already runs, with security {before} and not {wanted}",
            f"stop it first: headrace kafka stop --directory {directory}",
        )
    return Guard(layout_of(directory), wanted)


def _declared(
    pipeline: str | None, app_dir: Path | None, guard: "Guard", *, asked: bool
) -> "Pipeline | None":
    """Load the pipeline whose users there are to be; a broker that asks nobody needs none.

    Raises:
        UsageError: Users are asked for, and no pipeline was given.
    """
    if guard.security is Security.PLAINTEXT:
        return None
    if pipeline is None and not asked:
        return None
    return load(pipeline, app_dir)


def _welcome(
    guard: "Guard", pipeline: "Pipeline | None", bootstrap: str, how: "BrokerSecurity"
) -> None:
    """Make the users, and print the settings of the one for the command line."""
    from headrace.console.commands.kafka_security import lines
    from headrace.deploy.access import Role, user_of

    if pipeline is None:
        folder = guard.layout.security
        guard.renew(bootstrap)
        output.progress(f"The users stay as they are; settings are in {folder}/<user>.env")
        return
    files = guard.welcome(pipeline, bootstrap, how)
    operator, worker = (user_of(pipeline, role) for role in (Role.OPERATOR, Role.WORKER))
    output.facts(
        [("users", ", ".join(files)), ("settings", f"{files[operator].parent}/<user>.env")]
    )
    print()
    for line in lines(guard.variables(operator, bootstrap)):
        print(line)
    place = shlex.quote(str(files[worker]))
    output.progress(f"These are {operator}'s. To be another: set -a; . {place}; set +a")


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
    from headrace.console.commands.kafka_security import remembered

    lives = found.pid is not None
    return [
        ("kafka", f"{found.state.value} ({found.version})"),
        ("bootstrap" if lives else "last at", found.bootstrap),
        ("asks for", _ASKS_FOR[remembered(found.directory)]),
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
