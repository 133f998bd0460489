"""`headrace jobs`: what became of jobs, read from Kafka."""

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import job_watching, views
from headrace.console.commands.cancel import cancel
from headrace.console.commands.job_list import list_jobs
from headrace.console.options import AppDir, Json, load, reference_and_rest
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.pipeline.orders import CancelOrder
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.job_history import Found, Searched
    from headrace.processors.job_view import JobSummary, JobView
    from headrace.schemas.transitions import Transition

app = typer.Typer(no_args_is_help=True, help="Find jobs, see what became of them, cancel them.")
app.command()(cancel)
app.command("list")(list_jobs)


@app.callback()
def jobs() -> None:
    """Find jobs, see what became of them, cancel them."""


@app.command()
def show(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="JOB_ID", help="The job's id.", show_default=False)
    ] = None,
    *,
    arguments: Annotated[bool, typer.Option(help="Show what the job was submitted with.")] = True,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until the job is over, and show its progress.")
    ] = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show a job's whole life: submission, attempts, where it lies now, result.

    Exit code 1 when nothing that Kafka keeps tells of the job. With --watch: 0 when it succeeded, 1
    when it ended otherwise, 130 after Ctrl-C; with --json one document in a line for its life so far,
    and one for each transition that follows.
    """
    from headrace.processors.job_history import JobHistory

    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job id, got {' '.join(rest) or 'none'}")
    pipeline = load(reference, app_dir)
    with views.progress() as progress:
        found = JobHistory(pipeline, views.kafka(), progress).search(rest[0])
    view = _found(found, rest[0], pipeline.name)
    order = _pending_order(pipeline, view)
    if json:
        pending = {"cancel_order": None if order is None else order.as_json()}
        output.print_json(view.as_json(arguments=arguments) | pending)
    else:
        _print_life(view, reference, order, arguments=arguments)
    if watch:
        raise typer.Exit(job_watching.watch(pipeline, view, json=json))


def _found(found: "Found", job_id: str, pipeline: str) -> "JobView":
    from headrace.processors.errors import NotFoundError

    if found.view is None:
        raise NotFoundError(
            f"nothing tells of job {job_id} in pipeline {pipeline!r}: {_searched(found.searched)}; "
            "check the id, the pipeline and HEADRACE_BOOTSTRAP_SERVERS"
        )
    return found.view


def _searched(searched: "Searched") -> str:
    from headrace.schemas.headers import format_time

    kept = (
        f"keeps transitions since {format_time(searched.oldest)}"
        if searched.oldest is not None
        else "keeps no transitions at all"
    )
    return (
        f"searched {searched.offsets:,} offsets on {len(searched.topics)} topics (transitions, "
        f"lanes, delay tiers, dead letters); {searched.topics[0]} {kept}, and what is older than "
        "its retention (HEADRACE_TOPIC_RETENTION) is gone"
    )


def _pending_order(pipeline: "Pipeline", view: "JobView") -> "CancelOrder | None":
    """Find an order to cancel the job that has not been honoured yet."""
    from headrace.pipeline.orders import cancel_order

    state = view.summary.state
    if state not in tuple(JobState) or JobState(state).is_final:
        return None
    return cancel_order(views.kafka(), pipeline.topology, view.summary.job_id)


def _ordered(order: "CancelOrder | None", at: int) -> str | None:
    if order is None:
        return None
    return f"{order.why} ({views.age(order.at, at)}); honoured when the job is read next"


def _print_life(
    view: "JobView", reference: str | None, order: "CancelOrder | None", *, arguments: bool
) -> None:
    job, at = view.summary, views.now()
    output.facts(
        (
            ("job", job.job_id),
            ("type", views.one_line(job.job_type, 200) or "(none: the record is no job)"),
            ("state", _state(job, at)),
            ("progress", job_watching.bar_of(view.transitions[-1] if view.transitions else None)),
            ("reason", job.reason),
            ("order", _ordered(order, at)),
            ("error", views.error_line(job.error_type, job.error_message, 600)),
            ("queue", f"{job.queue}, priority {job.priority}" if job.queue else job.lane),
            ("tenant", job.tenant),
            ("key", job.key),
            ("created", views.moment(job.created, at)),
            ("due", views.moment(job.due, at) if view.lies_there else None),
            ("replayed", f"{job.generation} times" if job.generation else None),
            ("edited from", view.edited_from),
            ("trace", view.trace_id),
            ("dead letter", _letter(view)),
            ("lies on" if view.lies_there else "lay on", _where(view)),
        )
    )
    if arguments:
        views.print_payload("arguments", view.arguments, "its record is no longer kept")
    if view.result is not None:
        views.print_payload("result", view.result, "")
    if view.transitions:
        print()
        head = ("time (UTC)", "state", "attempt", "took", "worker", "detail")
        output.table(head, (_life_row(each) for each in job_watching.condensed(view.transitions)))
    if job.state == JobState.DEAD:
        output.progress(
            f"\nfor its history and traceback: headrace dlq show {reference or ''} {job.job_id}"
        )


def _state(job: "JobSummary", at: int) -> str:
    if job.state == "unknown":
        return "unknown: its record has been dealt with, but no transition is kept"
    ran = f", took {views.took(job.duration)}" if job.duration is not None else ""
    return f"{job.state} ({views.age(job.updated, at)}, attempt {job.attempt}{ran})"


def _letter(view: "JobView") -> str | None:
    mark = view.letter
    if mark is None:
        return None
    to = f" to job {mark.new_job}" if mark.new_job else ""
    return f"{mark.state}{to}, by {mark.by}"


def _where(view: "JobView") -> str | None:
    at = view.location
    return f"{at.topic}, partition {at.partition}, offset {at.offset}" if at else None


def _life_row(each: "Transition") -> tuple[object, ...]:
    from headrace.processors.job_view import duration_of
    from headrace.schemas.headers import format_time

    parts = [
        each.reason or "",
        job_watching.bar_of(each) or "",
        views.error_line(each.error_type, each.error_message),
    ]
    if each.due is not None and each.state in (JobState.DELAYED, JobState.RETRYING):
        parts.append(f"due {format_time(each.due)[11:-1]}")
    return (
        format_time(each.time)[:-1].replace("T", " "),
        each.state,
        each.attempt,
        views.took(duration_of(each)),
        each.worker,
        "; ".join(part for part in parts if part),
    )
