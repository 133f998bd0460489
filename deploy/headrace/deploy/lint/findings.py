"""What the lint says."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headrace.deploy.lint.objects import KubernetesObject


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It does not work, or not as it is written."""
    WARNING = "warning"
    """It works, and will surprise somebody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A trap in a manifest.

    Attributes:
        severity: How bad it is.
        rule: Its name, the same for the same trap.
        file: Where it is.
        thing: The object, `Kind/name`; empty for the whole file.
        place: The field in it, such as `spec.triggers[0].metadata.topic`.
        why: What happens, and why.
        remedy: What to write instead.
    """

    severity: Severity
    rule: str
    file: str
    thing: str
    place: str
    why: str
    remedy: str

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {name: str(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Finder:
    """Makes the findings about one object."""

    about: KubernetesObject

    def error(self, rule: str, place: str, why: str, remedy: str) -> Finding:
        """Say that something does not work."""
        return self._made(Severity.ERROR, rule, place, why, remedy)

    def warning(self, rule: str, place: str, why: str, remedy: str) -> Finding:
        """Say that something will surprise."""
        return self._made(Severity.WARNING, rule, place, why, remedy)

    def _made(self, severity: Severity, rule: str, place: str, why: str, remedy: str) -> Finding:
        return Finding(severity, rule, self.about.file, self.about.thing, place, why, remedy)
