"""`headrace jobs list`: from the query store where one is kept up to date, else from Kafka."""

from typing import TYPE_CHECKING, Final

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.job_asking import (
    Age,
    AskedSource,
    InState,
    Limit,
    Listed,
    OfPriority,
    OfQueue,
    OfTenant,
    OfType,
    Source,
    Wanted,
    WithKey,
    WithText,
    listed,
)
from headrace.console.options import AppDir, Json, Reference, load
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.processors.job_view import JobSummary

HEAD: Final = ("job", "type", "state", "attempt", "lane", "since", "detail")


def list_jobs(
    reference: Reference = None,
    *,
    state: InState = None,
    job_type: OfType = None,
    queue: OfQueue = None,
    priority: OfPriority = None,
    tenant: OfTenant = None,
    key: WithKey = None,
    text: WithText = None,
    since: Age = None,
    limit: Limit = 20,
    source: AskedSource = Source.AUTO,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """List jobs, those first that came into their state last.

    A job that has just been started may be shown as queued. JSON keys: `jobs`, `source`, and
    `back_to` when looking back through Kafka was given up before there were enough.
    """
    pipeline = load(reference, app_dir)
    wanted = Wanted(state, job_type, queue, priority, tenant, key, text, since)
    _show(listed(pipeline, wanted, limit, source), json=json)


def _show(found: Listed, *, json: bool) -> None:
    from headrace.processors.times import both_times

    at = views.now()
    if json:
        jobs = [job.as_json() for job in found.jobs]
        back_to = both_times("back_to", found.back_to)
        output.print_json({"jobs": jobs, "source": found.source.value, **back_to})
    elif found.jobs:
        output.table(HEAD, (row(job, at) for job in found.jobs))
    else:
        output.progress("no such jobs")
    if found.back_to is not None:
        output.progress(
            f"looked back to {views.moment(found.back_to, at)} and gave up there: there may be "
            "older ones; --type, --queue, --tenant or --since narrow it down"
        )


def row(job: "JobSummary", at: int) -> tuple[object, ...]:
    """A job as a line under `HEAD`, at a time (epoch ms)."""
    lane = f"{job.queue}.{job.priority}" if job.queue else job.lane
    return (
        job.job_id,
        views.one_line(job.job_type, 40) or "-",
        job.state,
        job.attempt,
        lane,
        views.age(job.updated, at),
        _detail(job, at),
    )


def _detail(job: "JobSummary", at: int) -> str:
    parts = [job.reason or ""]
    if job.due is not None and job.state in (JobState.DELAYED, JobState.RETRYING):
        parts.append(f"due {views.age(job.due, at)}")
    if job.state == JobState.SUCCEEDED and job.duration is not None:
        parts.append(f"took {views.took(job.duration)}")
    parts.append(views.error_line(job.error_type, job.error_message))
    return "; ".join(part for part in parts if part)
