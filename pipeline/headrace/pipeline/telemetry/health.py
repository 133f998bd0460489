"""Is this process alive, and may it be sent work? Checks by name, asked when somebody asks."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any


class CheckKind(StrEnum):
    """What a failing check means."""

    LIVE = "live"
    """Only a restart helps."""
    READY = "ready"
    """Not now: starting, stopping, or something it needs is away."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found; `detail` is for the person who reads it."""

    ok: bool
    detail: str = ""


Check = Callable[[], CheckResult]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all checks of one kind."""

    kind: CheckKind
    checks: tuple[tuple[str, CheckResult], ...]

    @property
    def ok(self) -> bool:
        """Whether all passed. Nothing registered: alive, but not ready."""
        if not self.checks:
            return self.kind is CheckKind.LIVE
        return all(result.ok for _, result in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Give the body of `/health/live` and `/health/ready`."""
        return {
            "status": "ok" if self.ok else "failed",
            "kind": self.kind.value,
            "checks": [
                {"name": name, "ok": result.ok, "detail": result.detail}
                for name, result in self.checks
            ],
        }


class Health:
    """The checks of one process. Any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._checks: dict[tuple[CheckKind, str], Check] = {}

    def add(self, name: str, check: Check, *, kind: CheckKind | str = CheckKind.READY) -> None:
        """Register a check, in place of one of the same kind and name.

        Checks are called on the thread of the request: they look at what is known and do not wait.
        One that raises has failed, with the exception as its detail.

        Raises:
            ValueError: The kind is neither "live" nor "ready".
        """
        with self._lock:
            self._checks[CheckKind(kind), name] = check

    def remove(self, name: str, *, kind: CheckKind | str = CheckKind.READY) -> None:
        """Forget a check, if it is there."""
        with self._lock:
            self._checks.pop((CheckKind(kind), name), None)

    def report(self, kind: CheckKind | str) -> Report:
        """Run all checks of a kind, in the order of their registration.

        Raises:
            ValueError: The kind is neither "live" nor "ready".
        """
        wanted = CheckKind(kind)
        with self._lock:
            checks = [(name, check) for (of, name), check in self._checks.items() if of is wanted]
        return Report(wanted, tuple((name, _run(check)) for name, check in checks))


def _run(check: Check) -> CheckResult:
    try:
        return check()
    except Exception as error:
        return CheckResult(ok=False, detail=f"{type(error).__name__}: {error}")
