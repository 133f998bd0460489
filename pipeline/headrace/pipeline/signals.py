"""What a handler raises to say more than "failed"."""

from datetime import timedelta

from headrace.pipeline.retry import MAX_DELAY


class JobSignal(Exception):  # noqa: N818 - these are messages to the worker, not errors
    """Base of what a handler raises to direct what happens next."""


class RetryLater(JobSignal):
    """This attempt failed; try again after `delay`, whatever the back-off says.

    Counts as an attempt: after the policy's last one the job is dead (`exhausted`).

    Raises:
        TypeError: The delay is no timedelta.
        ValueError: It is more than a hundred years.
    """

    def __init__(self, delay: timedelta, message: str = "") -> None:
        _check("RetryLater", delay)
        super().__init__(message or f"asked to be retried in {delay}")
        self.delay = delay
        self.message = message

    def __reduce__(self) -> tuple[type["RetryLater"], tuple[timedelta, str]]:
        return (type(self), (self.delay, self.message))


class Reject(JobSignal):
    """Never again: the job goes to the dead-letter topic at once (`rejected`)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Snooze(JobSignal):
    """Not now: come back after `delay`. Not counted as an attempt.

    Raises:
        TypeError: The delay is no timedelta.
        ValueError: It is more than a hundred years.
    """

    def __init__(self, delay: timedelta) -> None:
        _check("Snooze", delay)
        super().__init__(f"snoozed for {delay}")
        self.delay = delay

    def __reduce__(self) -> tuple[type["Snooze"], tuple[timedelta]]:
        return (type(self), (self.delay,))


def _check(signal: str, delay: object) -> None:
    """Refuse what is no wait where it is asked for, so that the handler's author is told."""
    if not isinstance(delay, timedelta):
        raise TypeError(
            f"{signal}({delay!r}): the delay must be a timedelta, such as timedelta(seconds=30)"
        )
    if delay > MAX_DELAY:
        raise ValueError(f"{signal}({delay}): the delay is more than a hundred years")
