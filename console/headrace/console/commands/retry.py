"""`headrace retry`: what a job type's retry policy leads to."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.options import AppDir, Json, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.pipeline.retry import Retry

app = typer.Typer(no_args_is_help=True, help="Retry policies.")


@app.callback()
def retry() -> None:
    """Retry policies."""


@app.command()
def explain(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="The job type's name.", show_default=False)
    ] = None,
    *,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show how long a failing job of a type waits before each attempt, and when it is dead."""
    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job type, got {' '.join(rest) or 'none'}")
    job_type = load(reference, app_dir).job_type(rest[0])
    policy, declared = job_type.policy.retry, True
    if policy is None:
        policy, declared = _default(), False
    waits = _waits(policy)
    if json:
        output.print_json(_as_json(rest[0], policy, waits, declared=declared))
        return
    origin = "its own policy" if declared else "the worker's default (HEADRACE_MAX_RETRIES)"
    output.facts(
        (
            ("job type", rest[0]),
            ("attempts", f"{policy.max_attempts}, by {origin}"),
            ("jitter", f"± {policy.jitter:.0%}" if policy.jitter else "none"),
            ("never", _names(policy.never)),
            ("only", _names(policy.only)),
        )
    )
    print()
    output.table(("attempt", "waits", "starts at the latest after"), _rows(policy, waits))
    print(f"after attempt {policy.max_attempts} has failed: dead (exhausted)")
    for kind, other in policy.per_exception.items():
        shown = ", ".join(output.shown_duration(wait) for wait in _waits(other)) or "no wait"
        print(f"on {kind.__qualname__}: {other.max_attempts} attempts; waits {shown}")


def _default() -> "Retry":
    from headrace.pipeline.retry import Retry
    from headrace.pipeline.settings import WorkerSettings
    from headrace.pipeline.settings import load as load_settings

    return Retry(max_attempts=load_settings(WorkerSettings).max_retries)


def _waits(policy: "Retry") -> list[timedelta]:
    """The wait before attempt 2, 3 …, without jitter."""
    exact = replace(policy, jitter=0.0)
    return [exact.wait(attempt, random.Random(0)) for attempt in range(1, policy.max_attempts)]


def _rows(policy: "Retry", waits: list[timedelta]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [(1, "-", "at once")]
    latest = timedelta()
    for attempt, wait in enumerate(waits, start=2):
        low, high = wait * (1 - policy.jitter), wait * (1 + policy.jitter)
        latest += high
        span = output.shown_duration(low)
        if high != low:
            span = f"{span} to {output.shown_duration(high)}"
        rows.append((attempt, span, output.shown_duration(latest)))
    return rows


def _names(kinds: tuple[type[BaseException], ...]) -> str:
    return ", ".join(kind.__qualname__ for kind in kinds)


def _as_json(
    job_type: str, policy: "Retry", waits: list[timedelta], *, declared: bool
) -> dict[str, Any]:
    return {
        "job_type": job_type,
        "declared": declared,
        "max_attempts": policy.max_attempts,
        "jitter": policy.jitter,
        "wait_seconds": [wait.total_seconds() for wait in waits],
    }
