"""`headrace circuits list|open|close`: job types that are left alone for a while."""

import getpass
from datetime import timedelta
from typing import Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration, load, reference_and_rest

app = typer.Typer(no_args_is_help=True, help="Circuits: job types that are left alone for a while.")
Words = Annotated[
    list[str],
    typer.Argument(metavar="[PIPELINE] JOB_TYPE", help="The job type; the pipeline before it."),
]


@app.callback()
def circuits() -> None:
    """Circuits: job types that are left alone for a while.

    While a circuit is open its jobs wait, without using up attempts; then trial jobs run. Statistics
    open and close them by the policy that is declared on the job type.
    """


@app.command("list")
def list_circuits(
    reference: Reference = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """Show every job type that has a circuit, or whose circuit was opened by hand.

    JSON keys: `circuits`, of each `job_type`, `state`, `at_ms`, `until_ms`, `by`, `reason`.
    """
    from headrace.pipeline.circuits import circuits_in
    from headrace.pipeline.compacted import read_latest

    pipeline = load(reference, app_dir)
    control = pipeline.topology.control
    known = circuits_in(read_latest(views.kafka(), [control])[control])
    declared = {
        name for name, each in pipeline.job_types.items() if each.policy.circuit is not None
    }
    rows = [_row(name, known.get(name)) for name in sorted(declared | known.keys())]
    if json:
        output.print_json({"circuits": rows})
        return
    head = ("job type", "state", "since", "trials", "by", "why")
    output.table(head, [_shown(row) for row in rows])


@app.command("open")
def open_circuit(
    words: Words,
    *,
    length: Annotated[
        timedelta,
        typer.Option("--for", parser=duration, metavar="DURATION", help="Until trial jobs run."),
    ] = "5m",  # type: ignore[assignment]
    reason: Annotated[str, typer.Option("--reason", help="Why, for others to read.")] = "",
    app_dir: AppDir = None,
) -> None:
    """Let the jobs of a type wait, whether it has a policy or not.

    Without one nothing closes it again but `close`, or five minutes after its time.
    """
    _write(words, app_dir, reason, length)


@app.command("close")
def close_circuit(
    words: Words,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for others to read.")] = "",
    app_dir: AppDir = None,
) -> None:
    """Let the jobs of a type run again; what waits comes when its wait is over."""
    _write(words, app_dir, reason, None)


def _write(words: list[str], app_dir: Any, reason: str, length: timedelta | None) -> None:
    from headrace.pipeline.circuits import Circuit, CircuitPolicy, circuit_record
    from headrace.pipeline.compacted import write_all
    from headrace.pipeline.durations import to_milliseconds

    reference, rest = reference_and_rest(words, 1)
    if len(rest) != 1:
        raise output.UsageError("give one job type, such as email.send")
    pipeline, now = load(reference, app_dir), views.now()
    job_type = pipeline.job_type(rest[0])
    policy = job_type.policy.circuit or CircuitPolicy()
    until = 0 if length is None else now + to_milliseconds(length)
    circuit = Circuit(
        rest[0], length is not None, now, until, policy.trial_jobs, getpass.getuser(), reason
    )
    write_all(views.kafka(), [circuit_record(pipeline.topology, circuit)])
    output.progress(f"{rest[0]} is {circuit.state(now)}")


def _row(job_type: str, circuit: Any) -> dict[str, Any]:
    state = "closed" if circuit is None else circuit.state(views.now())
    return {
        "job_type": job_type,
        "state": state,
        "at_ms": None if circuit is None else circuit.at,
        "until_ms": circuit.until if circuit is not None and state != "closed" else None,
        "by": "" if circuit is None else circuit.by,
        "reason": "" if circuit is None else circuit.reason,
    }


def _shown(row: dict[str, Any]) -> tuple[object, ...]:
    now = views.now()
    since = "-" if row["at_ms"] is None else views.age(row["at_ms"], now)
    trials = "-" if row["until_ms"] is None else views.age(row["until_ms"], now)
    return (
        row["job_type"],
        row["state"],
        since,
        trials,
        row["by"] or "-",
        views.one_line(row["reason"], 60),
    )
