"""Errors of the scaler.

HeadraceError
└── ScalerError              KEDA cannot be answered
    ├── TriggerError         a trigger's metadata is wrong
    └── UnknownBacklogError  nobody knows the backlog now; never to be taken for an empty one
"""

from headrace.schemas.errors import HeadraceError


class ScalerError(HeadraceError):
    """KEDA cannot be answered; the message says why."""


class TriggerError(ScalerError):
    """A trigger's metadata is wrong; the message names the value and the remedy."""


class UnknownBacklogError(ScalerError):
    """Nobody knows the backlog now. The same call may succeed later."""
