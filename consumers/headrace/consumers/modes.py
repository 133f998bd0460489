"""Worker modes: which lanes one worker process serves, and whether it moves due records too."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.settings import WorkerMode, WorkerSettings


@dataclass(frozen=True, slots=True)
class Duties:
    """What one worker process does."""

    lanes: tuple[Lane, ...]
    concurrency: int
    scheduler: bool


def duties(
    pipeline: Pipeline,
    settings: WorkerSettings,
    *,
    queues: Sequence[str] = (),
    priorities: Sequence[str] = (),
) -> Duties:
    """Say what a worker does, by its mode, narrowed to some queues and priorities if given.

    Raises:
        SettingsError: A name is unknown, a job type shares its queue, or nothing is left to do.
    """
    lanes = tuple(pipeline.topology.lanes())
    match settings.worker_mode:
        case WorkerMode.SPECIALIZED:
            lanes = _of_priorities(lanes, settings.worker_priorities, "HEADRACE_WORKER_PRIORITIES")
        case WorkerMode.JOB_SPECIALIZED:
            lanes = _of_job_types(pipeline, lanes, settings.worker_job_types)
        case WorkerMode.SCHEDULER:
            return Duties((), settings.slots, scheduler=True)
        case WorkerMode.DEFAULT | WorkerMode.THIN:
            pass
    if queues:
        lanes = _of_queues(pipeline, lanes, queues)
    if priorities:
        lanes = _of_priorities(lanes, priorities, "--priority")
    if not lanes:
        raise SettingsError(
            f"no lane of pipeline {pipeline.name!r} is left for this worker: queues "
            f"{', '.join(queues) or 'any'}, priorities {', '.join(priorities) or 'any'}, mode "
            f"{settings.worker_mode}; `headrace topics plan` lists the lanes"
        )
    return Duties(lanes, settings.slots, settings.schedules)


def _of_priorities(lanes: Iterable[Lane], wanted: Sequence[str], variable: str) -> tuple[Lane, ...]:
    lanes = tuple(lanes)
    known = {lane.priority for lane in lanes}
    unknown = [priority for priority in wanted if priority not in known]
    if unknown:
        raise SettingsError(
            f"{variable}={','.join(wanted)}: no queue has the priority {', '.join(unknown)} "
            f"(there are: {', '.join(sorted(known))})"
        )
    return tuple(lane for lane in lanes if lane.priority in wanted)


def _of_queues(
    pipeline: Pipeline, lanes: Iterable[Lane], wanted: Sequence[str]
) -> tuple[Lane, ...]:
    unknown = [queue for queue in wanted if queue not in pipeline.queues]
    if unknown:
        raise SettingsError(
            f"--queue {', '.join(unknown)}: pipeline {pipeline.name!r} declares no such queue "
            f"(there are: {', '.join(pipeline.queues)})"
        )
    return tuple(lane for lane in lanes if lane.queue in wanted)


def _of_job_types(
    pipeline: Pipeline, lanes: Iterable[Lane], wanted: Sequence[str]
) -> tuple[Lane, ...]:
    unknown = [name for name in wanted if name not in pipeline.job_types]
    if unknown:
        raise SettingsError(
            f"HEADRACE_WORKER_JOB_TYPES={','.join(wanted)}: pipeline {pipeline.name!r} declares no "
            f"job type {', '.join(unknown)} (there are: {', '.join(sorted(pipeline.job_types))})"
        )
    queues = {pipeline.job_types[name].policy.queue for name in wanted}
    for name, job_type in pipeline.job_types.items():
        queue = job_type.policy.queue
        if queue in queues and name not in wanted:
            sharing = next(n for n in wanted if pipeline.job_types[n].policy.queue == queue)
            raise SettingsError(
                f"HEADRACE_WORKER_JOB_TYPES={','.join(wanted)}: {sharing} shares queue {queue!r} "
                f"with {name}, so this worker would get both: give {sharing} a queue of its own "
                f"(`@pipeline.job({sharing!r}, queue=…)`), or list {name} too"
            )
    return tuple(lane for lane in lanes if lane.queue in queues)
