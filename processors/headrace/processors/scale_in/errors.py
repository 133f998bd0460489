"""Errors of scaling in.

HeadraceError
└── ClusterError    Kubernetes gave no answer, or refused
"""

from headrace.schemas.errors import HeadraceError


class ClusterError(HeadraceError):
    """Kubernetes gave no answer, or refused; the message says what was asked, and the remedy."""
