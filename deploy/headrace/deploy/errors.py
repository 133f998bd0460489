"""Errors of deriving a deployment.

HeadraceError
└── DeployError             a deployment cannot be derived
    └── YamlMissingError    the extra `deploy` is not installed
"""

from headrace.schemas.errors import HeadraceError


class DeployError(HeadraceError):
    """A deployment cannot be derived; the message names the value and the remedy."""


class YamlMissingError(DeployError):
    """The extra `deploy` is not installed."""
