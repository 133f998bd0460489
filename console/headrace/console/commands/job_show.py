"""`headrace jobs show`: one job's whole life."""

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import job_timeline, job_watching, views
from headrace.console.commands.job_asking import AskedSource, Source, store
from headrace.console.options import AppDir, Json, load, reference_and_rest
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.pipeline.orders import CancelOrder
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.job_history import Found, Searched
    from headrace.processors.job_view import JobSummary, JobView


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
    source: AskedSource = Source.AUTO,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show a job's whole life: submission, attempts, where it lay and lies now, result.

    The store knows each hop through delay tiers besides, and jobs that Kafka has forgotten; its record
    with the arguments is read from Kafka all the same. JSON has `source`. Exit code 1 when nothing that
    is kept tells of the job. With --watch: 0 when it succeeded, 1
    when it ended otherwise, 130 after Ctrl-C; with --json one document in a line for its life so far,
    and one for each transition that follows.
    """
    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one job id, got {' '.join(rest) or 'none'}")
    pipeline = load(reference, app_dir)
    view, told_by = _look(pipeline, rest[0], source)
    order = _pending_order(pipeline, view)
    if json:
        more = {"cancel_order": None if order is None else order.as_json(), "source": told_by.value}
        output.print_json(view.as_json(arguments=arguments) | more)
    else:
        _print_life(view, reference, order, arguments=arguments)
    if watch:
        raise typer.Exit(job_watching.watch(pipeline, view, json=json))


def _look(pipeline: "Pipeline", job_id: str, source: Source) -> "tuple[JobView, Source]":
    """Find the job in the store if that is asked and knows it, else in Kafka."""
    from headrace.processors.job_history import JobHistory

    with store(pipeline.name, source) as reader:
        if reader is not None:
            from headrace.processors.stored_job import StoredJobs

            view = StoredJobs(pipeline, views.kafka(), reader).find(job_id)
            if view is not None:
                return view, Source.STORE
            if source is Source.STORE:
                raise _not_stored(job_id, pipeline.name)
    with views.progress() as progress:
        found = JobHistory(pipeline, views.kafka(), progress).search(job_id)
    return _found(found, job_id, pipeline.name), Source.KAFKA


def _not_stored(job_id: str, pipeline: str) -> Exception:
    from headrace.processors.errors import NotFoundError

    return NotFoundError(
        f"the store knows no job {job_id} of pipeline {pipeline!r}: check the id, ask with --source "
        "kafka, or see with `headrace processors status` how far behind it is; jobs that ended long "
        "ago leave it (HEADRACE_STORE_KEEP_DONE, HEADRACE_STORE_KEEP_DEAD)"
    )


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
    from headrace.pipeline.errors import KafkaUnavailableError
    from headrace.pipeline.orders import cancel_order

    state = view.summary.state
    if state not in tuple(JobState) or JobState(state).is_final:
        return None
    try:
        return cancel_order(views.kafka(), pipeline.topology, view.summary.job_id)
    except KafkaUnavailableError:
        return None  # the store has told the rest


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
    if view.events:
        print()
        job_timeline.draw(view.events)
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
