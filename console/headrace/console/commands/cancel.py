"""`headrace jobs cancel`: jobs that are not to be run, or are to stop."""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, duration, load, reference_and_rest
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.cancelling import Cancellation
    from headrace.processors.job_list import JobFilter
    from headrace.processors.job_view import JobSummary

_SHOWN = 20
"""Jobs that are listed one by one before the others are only counted."""


def cancel(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PIPELINE] [JOB_ID]...",
            help="The pipeline as module:attribute, unless HEADRACE_PIPELINE is set, and the ids "
            "of the jobs; without ids give a filter.",
            show_default=False,
        ),
    ] = None,
    *,
    job_type: Annotated[
        str | None, typer.Option("--type", help="Jobs of this type.", show_default=False)
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Jobs of this queue.", show_default=False)
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Jobs of this tenant.", show_default=False)
    ] = None,
    state: Annotated[
        JobState | None,
        typer.Option(
            help="Jobs in this state: delayed, queued, running or retrying.", show_default=False
        ),
    ] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Jobs that were submitted longer ago than this.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; stands in the jobs' history.")] = "",
    by: Annotated[
        str | None,
        typer.Option(help="Who wants it; the user's name when not given.", show_default=False),
    ] = None,
    wait: Annotated[
        timedelta,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="How long to wait for what becomes of the jobs.",
        ),
    ] = "5s",  # type: ignore[assignment]  # Typer parses the default as it does what is given
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which jobs would be cancelled.")
    ] = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Cancel jobs by their ids, or all unfinished ones of a filter.

    A job that waits is not started any more; a running coroutine is cancelled, a child process is
    killed, a thread is told by context.cancelled. None of them is retried. Says for each job
    whether it is cancelled, is ordered to be (dropped when it is read next), had finished before,
    or is not found.

    Exit code 0 when all are cancelled or ordered to be; 1 when some had finished or are not found,
    or the filter matches none; 2 for a wrong call.

    JSON keys: `jobs` (each `job_id`, `outcome`, `state`, `detail`) and `counts`; with --dry-run
    `would_cancel`.
    """
    reference, ids = reference_and_rest(words or (), sys.maxsize)
    pipeline = load(reference, app_dir)
    filters = (job_type, queue, tenant, state, older_than)
    _check(pipeline, ids, filters, state, queue)
    if not ids:
        from headrace.processors.job_list import JobFilter

        wanted = JobFilter(state, job_type, queue, tenant)
        chosen = _choose(pipeline, wanted, older_than)
        if dry_run or not chosen:
            _print_dry_run(chosen, json=json)
            raise typer.Exit(0 if chosen else 1)
        _confirm(chosen, yes=yes)
        ids = tuple(job.job_id for job in chosen)
    elif dry_run:
        raise output.UsageError("--dry-run goes with a filter; `headrace jobs show` shows one job")
    found = _cancel(pipeline, ids, by, reason, wait)
    _print(found, json=json)
    raise typer.Exit(_exit_code(found))


def _check(
    pipeline: "Pipeline",
    ids: Sequence[str],
    filters: tuple[Any, ...],
    state: JobState | None,
    queue: str | None,
) -> None:
    given = any(each is not None for each in filters)
    if ids and given:
        raise output.UsageError("give job ids or a filter, not both")
    if not ids and not given:
        raise output.UsageError(
            "give job ids, or a filter: --type, --queue, --tenant, --state, --older-than"
        )
    if state is not None and state.is_final:
        raise output.UsageError(
            f"--state {state}: such jobs have ended; delayed, queued, running and retrying ones "
            "can be cancelled"
        )
    if queue is not None and queue not in pipeline.queues:
        names = ", ".join(pipeline.queues)
        raise output.UsageError(f"there is no queue {queue!r} (there are: {names})")


def _choose(
    pipeline: "Pipeline", wanted: "JobFilter", older_than: timedelta | None
) -> "tuple[JobSummary, ...]":
    from headrace.processors.cancelling import candidates

    at = views.now()
    before = None if older_than is None else at - int(older_than.total_seconds() * 1000)
    with views.progress() as progress:
        found = candidates(
            pipeline, wanted, created_before=before, kafka=views.kafka(), progress=progress
        )
    if found.back_to is not None:
        output.progress(
            f"looked back to {views.moment(found.back_to, at)} and gave up there: there may be "
            "older ones; call again for these"
        )
    return found.jobs


def _confirm(chosen: "Sequence[JobSummary]", *, yes: bool) -> None:
    if yes:
        return
    states = Counter(job.state for job in chosen)
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    if not sys.stdin.isatty():
        raise output.UsageError(f"{len(chosen):,} jobs match ({counts}): say --yes to cancel them")
    typer.confirm(f"cancel {len(chosen):,} jobs ({counts})?", abort=True, err=True)


def _cancel(
    pipeline: "Pipeline", ids: Sequence[str], by: str | None, reason: str, wait: timedelta
) -> "tuple[Cancellation, ...]":
    import getpass

    from headrace.processors.cancelling import cancel as order

    who = by if by is not None else getpass.getuser()
    with views.progress() as progress:
        return order(
            pipeline,
            ids,
            by=who,
            reason=reason,
            kafka=views.kafka(),
            wait=wait,
            progress=progress,
        )


def _print_dry_run(chosen: "Sequence[JobSummary]", *, json: bool) -> None:
    at = views.now()
    if json:
        output.print_json({"would_cancel": [job.as_json() for job in chosen]})
    elif not chosen:
        output.progress("no unfinished job matches")
    else:
        rows = (
            (job.job_id, views.one_line(job.job_type, 40), job.state, views.age(job.created, at))
            for job in chosen[:_SHOWN]
        )
        output.table(("job", "type", "state", "submitted"), rows)
        _tell_of_others(len(chosen))
        output.progress(f"{len(chosen):,} jobs would be cancelled")


def _print(found: "Sequence[Cancellation]", *, json: bool) -> None:
    counts = Counter(each.became.value for each in found)
    if json:
        output.print_json({"jobs": [each.as_json() for each in found], "counts": dict(counts)})
        return
    rows = ((each.job_id, each.became, each.state, each.detail) for each in found[:_SHOWN])
    output.table(("job", "outcome", "state", "detail"), rows)
    _tell_of_others(len(found))
    output.progress(", ".join(f"{count:,} {became}" for became, count in counts.items()))


def _tell_of_others(count: int) -> None:
    if count > _SHOWN:
        output.progress(f"and {count - _SHOWN:,} more (--json lists all)")


def _exit_code(found: "Sequence[Cancellation]") -> int:
    from headrace.processors.cancelling import Became

    well = (Became.CANCELLED, Became.ORDERED)
    return 0 if all(each.became in well for each in found) else 1
