"""Errors of deriving a deployment.

HeadraceError
└── DeployError             a deployment cannot be derived
    ├── YamlMissingError    the extra `deploy` is not installed
    ├── ProfileError        the profile cannot be used
    ├── StrategyError       a scaling strategy cannot be used
    ├── LoadFileError       a load cannot be read
    ├── PlotMissingError    the extra `plot` is not installed
    └── NotDeployableError  the declaration and the profile cannot be deployed as they are
"""

from headrace.schemas.errors import HeadraceError


class DeployError(HeadraceError):
    """A deployment cannot be derived; the message names the value and the remedy."""


class YamlMissingError(DeployError):
    """The extra `deploy` is not installed."""


class ProfileError(DeployError):
    """The profile cannot be used: a line for each reason."""


class StrategyError(DeployError):
    """A scaling strategy is not there, or contradicts what Kubernetes takes."""


class LoadFileError(DeployError):
    """A load cannot be read; the message names the file, the line and what it should be."""


class PlotMissingError(DeployError):
    """The extra `plot` is not installed."""


class NotDeployableError(DeployError):
    """The declaration and the profile cannot be deployed as they are: a line for each reason."""
