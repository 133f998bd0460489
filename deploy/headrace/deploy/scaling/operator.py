"""What KEDA's operator does itself: from 0 to 1 and back, and the metric's stand-in after failures.

The rules are those of KEDA 2.21: pkg/scaling/executor/scale_scaledobjects.go (`RequestScale`) and
pkg/fallback/fallback.go. Times are seconds of any one clock.
"""

from datetime import timedelta

from headrace.deploy.scaling.strategy import Fallback


class Operator:
    """Decides at each poll whether a lane sleeps.

    Args:
        least: Pods at least, as the ScaledObject says; with 1 or more it never sleeps.
        cooldown: After the last time that there was something to do.
    """

    def __init__(self, least: int, cooldown: timedelta) -> None:
        self._least = least
        self._cooldown = cooldown.total_seconds()
        self.last_active: float | None = None
        """When there was something to do; None when there never was."""

    def poll(self, now: float, current: int, *, active: bool, failed: bool = False) -> int:
        """Give the number of pods after a poll; the autoscaler has the numbers above 1.

        Args:
            now: Never less than before.
            current: Pods that there are.
            active: Whether a trigger has something to do, or stands in for one that failed.
            failed: Whether a trigger failed. Nothing is taken away then.
        """
        if active:
            self.last_active = now
            return current or max(1, self._least)
        if failed:
            return current
        if self._least == 0:
            return 0 if self._has_cooled(now) else current
        return max(current, self._least)

    def cools_for(self, now: float) -> float:
        """Say for how many seconds the last pod stays, if nothing comes."""
        return 0.0 if self.last_active is None else self.last_active + self._cooldown - now

    def _has_cooled(self, now: float) -> bool:
        # Without a last time the pods are somebody else's doing, and go at once
        return self.last_active is None or self.last_active + self._cooldown < now


class Failures:
    """Counts failed queries of a metric: polls and the autoscaler's questions alike.

    Args:
        fallback: From when on, and how many pods then.
    """

    def __init__(self, fallback: Fallback) -> None:
        self._fallback = fallback
        self.count = 0

    def pods(self, *, failed: bool, current: int) -> int | None:
        """Note a query; give the pods that stand in for the metric, None when nothing does."""
        self.count = self.count + 1 if failed else 0
        return self._fallback.pods(current) if self.count > self._fallback.failures else None
