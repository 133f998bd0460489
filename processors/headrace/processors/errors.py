"""Errors of the views and of the repair tools.

HeadraceError
├── TooManyError    more jobs at a time than can be
├── NotFoundError   nothing that Kafka keeps tells of a job, or no dead letter is one's
├── ScheduleError   a schedule cannot be changed, or fired, in this way
├── StreamError     a stream of records cannot be made, or broke off
├── EditError       a dead letter's arguments cannot be changed so
├── ImportLineError a line of an export is broken
└── StoreError      the query store cannot be used
    ├── StoreUnavailableError  just now
    └── NotOwnerError          somebody else writes to it
"""

from headrace.schemas.errors import HeadraceError


class NotFoundError(HeadraceError):
    """What was asked for is not in the topics; says what was searched and what to check."""


class TooManyError(HeadraceError):
    """More jobs at a time than can be: says how many, and how to do with fewer."""


class ScheduleError(HeadraceError):
    """A schedule cannot be changed, or fired, in this way; says what can be done instead."""


class StreamError(HeadraceError):
    """A stream of records cannot be made, or broke off; says which, and why."""


class EditError(HeadraceError):
    """A dead letter's arguments cannot be changed so; nothing was submitted."""


class ImportLineError(HeadraceError):
    """A line is no exported dead letter of this pipeline; says which part of it is wrong."""


class StoreError(HeadraceError):
    """The query store cannot be used as it is; says what to change."""


class StoreUnavailableError(StoreError):
    """The query store does not answer, is locked or is full: it may pass by itself."""


class NotOwnerError(StoreError):
    """Somebody else writes to this edition of the store by now; nothing was written."""
