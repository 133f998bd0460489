"""Errors of replays.

HeadraceError
└── ReplayError           a replay cannot be begun or gone on with
    ├── TakenOverError    another process goes on with this replay
    └── NoReplayError     there is no replay of this name
"""

from headrace.schemas.errors import HeadraceError


class ReplayError(HeadraceError):
    """A replay cannot be begun or gone on with; says why, and what to do instead."""


class TakenOverError(ReplayError):
    """Another process goes on with this replay, so this one has stopped."""


class NoReplayError(ReplayError):
    """There is no replay of this name, or not any more."""
