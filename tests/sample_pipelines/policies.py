"""Job types with every kind of retry policy, for `headrace retry explain`."""

from datetime import timedelta

from headrace.pipeline import Pipeline, Retry, RetryBudget, http_retry_after

MINUTE = timedelta(minutes=1)
policies = Pipeline("policies")


@policies.job(
    "everything",
    retry=Retry(
        max_attempts=8,
        base=timedelta(seconds=2),
        never=(KeyError,),
        only=(LookupError, OSError),
        per_exception={ConnectionError: Retry.fixed(MINUTE, 20)},
        max_age=10 * MINUTE,
        retry_after=http_retry_after,
        budget=RetryBudget(ratio=0.25, minimum=5),
    ),
)
def everything() -> None:
    """Have all that a policy can have."""


@policies.job("listed", retry=Retry.delays(MINUTE, 5 * MINUTE, timedelta(hours=2), max_attempts=9))
def listed() -> None:
    """Wait as listed."""


@policies.job("once", retry=Retry(max_attempts=1))
def once() -> None:
    """Be tried once."""


@policies.job("silent")
def silent() -> None:
    """Leave it to the worker."""
