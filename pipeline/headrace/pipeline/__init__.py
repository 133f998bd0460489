"""What a user declares, and what all processes share."""

from headrace.pipeline.circuits import CircuitPolicy
from headrace.pipeline.context import JobContext, Progress
from headrace.pipeline.errors import (
    DeclarationError,
    LoadError,
    LostOffsetError,
    SettingsError,
    TopicError,
    UnknownJobTypeError,
)
from headrace.pipeline.job import Job
from headrace.pipeline.job_types import JobType
from headrace.pipeline.pipeline import Lifespan, Middleware, Pipeline
from headrace.pipeline.queues import Lane, Pool, Queue
from headrace.pipeline.retry import Retry
from headrace.pipeline.retry_after import http_retry_after
from headrace.pipeline.retry_budget import RetryBudget
from headrace.pipeline.schedules import Misfire, Overlap, Schedule
from headrace.pipeline.signals import Reject, RetryLater, Snooze

__all__ = [
    "CircuitPolicy",
    "DeclarationError",
    "Job",
    "JobContext",
    "JobType",
    "Lane",
    "Lifespan",
    "LoadError",
    "LostOffsetError",
    "Middleware",
    "Misfire",
    "Overlap",
    "Pipeline",
    "Pool",
    "Progress",
    "Queue",
    "Reject",
    "Retry",
    "RetryBudget",
    "RetryLater",
    "Schedule",
    "SettingsError",
    "Snooze",
    "TopicError",
    "UnknownJobTypeError",
    "http_retry_after",
]
