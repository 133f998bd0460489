"""`headrace retry`: what a job type's retry policy leads to."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.options import AppDir, Json, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.pipeline.retry import Retry
    from headrace.pipeline.retry_plan import RetryPlan, RetryStep

_FOLD = 4
"""From so many attempts with the same wait on, they share a row."""

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
    """Show how long a failing job of a type waits before each attempt, and when it is dead.

    Times are those of a job that always fails, without the time that its attempts take. Asks no
    broker. Exit codes: 0 explained, 1 no such pipeline or job type, 2 called wrongly.
    """
    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job type, got {' '.join(rest) or 'none'}")
    job_type = load(reference, app_dir).job_type(rest[0])
    declared = job_type.policy.retry
    policy = declared or _default()
    if json:
        output.print_json(_document(rest[0], policy, declared=declared is not None))
    else:
        _show(rest[0], policy, declared=declared is not None)


def _default() -> "Retry":
    from headrace.pipeline.retry import Retry
    from headrace.pipeline.settings import WorkerSettings
    from headrace.pipeline.settings import load as load_settings

    return Retry(max_attempts=load_settings(WorkerSettings).max_retries)


# -- for people ------------------------------------------------------------------------------------


def _show(job_type: str, policy: "Retry", *, declared: bool) -> None:
    from headrace.pipeline.retry_plan import plan_of

    origin = "its own policy" if declared else "the worker's default (HEADRACE_MAX_RETRIES)"
    output.facts(
        (
            ("job type", job_type),
            ("attempts", f"{policy.max_attempts}, by {origin}"),
            ("waits", _shape(policy)),
            ("asks", _asks(policy)),
            ("max age", _age(policy)),
            ("budget", _budget(policy)),
            ("only", _names(policy.only)),
            ("never", _never(policy)),
        )
    )
    _show_plan(plan_of(policy))
    for kind, own in policy.per_exception.items():
        print()
        output.facts(
            (
                ("on", f"{kind.__qualname__} and its subclasses"),
                ("attempts", f"{own.max_attempts}, all attempts counted"),
                ("waits", _shape(own)),
                ("asks", _asks(own)),
                ("max age", _age(own)),
                ("only", _names(own.only)),
                ("never", _never(own)),
            )
        )
        _show_plan(plan_of(own, policy.max_age))


def _show_plan(plan: "RetryPlan") -> None:
    print()
    output.table(
        ("attempt", "after a wait of", "earliest start", "latest start"),
        [("1", "-", "at once", "at once"), *_rows(plan, plan.max_age or timedelta.max)],
    )
    print(_end(plan))


def _rows(plan: "RetryPlan", bound: timedelta) -> Iterator[tuple[str, ...]]:
    """A row for each attempt; one for many that wait the same."""
    for _, group in groupby(plan.steps, key=lambda step: (step.least, step.most)):
        same = list(group)
        if len(same) < _FOLD:
            yield from (_row(f"{step.attempt}", step, step, bound) for step in same)
        else:
            yield _row(f"{same[0].attempt} to {same[-1].attempt}", same[0], same[-1], bound)


def _row(attempts: str, first: "RetryStep", last: "RetryStep", bound: timedelta) -> tuple[str, ...]:
    return (
        attempts,
        _range(first.least, first.most),
        _range(first.earliest, last.earliest),
        _range(min(first.latest, bound), min(last.latest, bound)),
    )


def _end(plan: "RetryPlan") -> str:
    """Say how it ends with a job that always fails."""
    soonest, latest = plan.dead_after
    begins = f"{_range(soonest, latest)} after the first" if plan.steps else "at once"
    last, age = len(plan.steps) + 1, plan.max_age
    if age is None or (plan.too_late is None and plan.doubtful is None):
        return f"dead (exhausted) when attempt {last} has failed, which starts {begins}"
    bound = f"more than {output.shown_duration(age)} after the job was submitted"
    if plan.doubtful is None:
        return f"dead (too-old) when attempt {last} has failed: the next would start {bound}"
    return (
        f"dead (too-old) when attempt {plan.doubtful - 1} or a later one has failed and the next "
        f"would start {bound}"
    )


def _shape(policy: "Retry") -> str:
    """Say in words how the waits grow."""
    if policy.max_attempts == 1:
        return "none: a job that failed is dead"
    jitter = f"± {policy.jitter:.0%} at random" if policy.jitter else "no jitter"
    if policy.waits:
        shown = [output.shown_duration(wait) for wait in policy.waits]
        listed = "always" if len(shown) == 1 else "as listed:"
        more = ", and so on" if policy.max_attempts > len(shown) + 1 > 2 else ""
        return f"{listed} {', '.join(shown)}{more}; {jitter}"
    base, cap = output.shown_duration(policy.base), output.shown_duration(policy.cap)
    if policy.factor == 1 or policy.base >= policy.cap:
        return f"always {output.shown_duration(policy.middle(1))}; {jitter}"
    grown = "doubled" if policy.factor == 2 else f"{policy.factor:g} times as long"
    return f"{base}, {grown} each time, at most {cap}; {jitter}"


def _asks(policy: "Retry") -> str:
    if policy.retry_after is None:
        return ""
    reader = getattr(policy.retry_after, "__qualname__", repr(policy.retry_after))
    return f"{reader}: where the exception tells how long to wait, that holds instead"


def _age(policy: "Retry") -> str:
    if policy.max_age is None:
        return ""
    return f"no retry starts later than {output.shown_duration(policy.max_age)} after submission"


def _budget(policy: "Retry") -> str:
    budget = policy.budget
    if budget is None:
        return ""
    return (
        f"retries are at most {budget.ratio:.0%} of a worker's attempts per "
        f"{output.shown_duration(budget.per)} ({budget.minimum} always may); others wait longer"
    )


def _never(policy: "Retry") -> str:
    return f"{_names(policy.never)}: dead (exhausted) at once" if policy.never else ""


def _names(kinds: tuple[type[BaseException], ...]) -> str:
    return ", ".join(kind.__qualname__ for kind in kinds)


def _range(low: timedelta, high: timedelta) -> str:
    shown = output.shown_duration(low), output.shown_duration(high)
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"


# -- for programs ----------------------------------------------------------------------------------


def _document(job_type: str, policy: "Retry", *, declared: bool) -> dict[str, Any]:
    return {
        "job_type": job_type,
        "declared": declared,
        **_policy(policy, None),
        "budget": _budget_document(policy),
        "per_exception": {
            f"{kind.__module__}.{kind.__qualname__}": _policy(own, policy.max_age)
            for kind, own in policy.per_exception.items()
        },
    }


def _policy(policy: "Retry", max_age: timedelta | None) -> dict[str, Any]:
    from headrace.pipeline.retry_plan import plan_of

    plan = plan_of(policy, max_age)
    soonest, latest = plan.dead_after
    return {
        "max_attempts": policy.max_attempts,
        "jitter": policy.jitter,
        "max_age_seconds": plan.max_age.total_seconds() if plan.max_age else None,
        "asks_the_exception": policy.retry_after is not None,
        "only": [f"{kind.__module__}.{kind.__qualname__}" for kind in policy.only],
        "never": [f"{kind.__module__}.{kind.__qualname__}" for kind in policy.never],
        "attempts": [_step(step) for step in plan.steps],
        "first_too_late": plan.too_late,
        "last_starts_seconds": [soonest.total_seconds(), latest.total_seconds()],
    }


def _step(step: "RetryStep") -> dict[str, Any]:
    return {
        "attempt": step.attempt,
        "wait_seconds": [step.least.total_seconds(), step.most.total_seconds()],
        "starts_seconds": [step.earliest.total_seconds(), step.latest.total_seconds()],
    }


def _budget_document(policy: "Retry") -> dict[str, Any] | None:
    budget = policy.budget
    if budget is None:
        return None
    per = budget.per.total_seconds()
    return {"ratio": budget.ratio, "per_seconds": per, "minimum": budget.minimum}
