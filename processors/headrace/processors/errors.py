"""Errors of the views.

HeadraceError
├── NotFoundError   nothing that Kafka keeps tells of a job, or no dead letter is one's
└── ScheduleError   a schedule cannot be changed, or fired, in this way
"""

from headrace.schemas.errors import HeadraceError


class NotFoundError(HeadraceError):
    """What was asked for is not in the topics; says what was searched and what to check."""


class ScheduleError(HeadraceError):
    """A schedule cannot be changed, or fired, in this way; says what can be done instead."""
