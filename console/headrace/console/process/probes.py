"""What `/health/live` and `/health/ready` ask of a part that is a member of consumer groups."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from headrace.console.process.part import Part, Service
from headrace.consumers.figures import MemberFigures
from headrace.consumers.orders_reader import OrdersReader
from headrace.pipeline.telemetry.health import CheckResult


class Member(Service, Protocol):
    """A service whose threads poll consumer groups."""

    def figures(self) -> Mapping[str, MemberFigures]:
        """What its threads count, by group."""
        ...

    def assigned(self) -> bool:
        """Whether all groups are joined."""
        ...

    def broker_answers(self) -> bool:
        """Whether Kafka answers now; may wait for a second or two."""
        ...


def lives(part: Part[Member], silent: timedelta) -> CheckResult:
    """Fail when only a restart helps: its thread ended, or one has not polled for too long."""
    if not part.alive:
        return CheckResult(ok=False, detail="its thread has ended")
    if part.service is None:
        return CheckResult(ok=True, detail="waits for Kafka")
    now = time.monotonic()
    stuck = [
        f"{group} was not polled for {now - figures.last_poll:.0f} s"
        for group, figures in part.service.figures().items()
        if figures.last_poll and now - figures.last_poll > silent.total_seconds()
    ]
    return CheckResult(ok=not stuck, detail="; ".join(stuck))


def follows_orders(reader: OrdersReader) -> CheckResult:
    """Fail while orders to cancel or supersede jobs are not seen; work goes on all the same."""
    detail = reader.trouble or ("" if reader.caught_up else "the control topic is being read")
    return CheckResult(ok=reader.is_well, detail=detail)


def is_ready(part: Part[Member]) -> CheckResult:
    """Fail while it starts or stops, or while what it hands over is not taken."""
    if part.stopping.is_set():
        return CheckResult(ok=False, detail="stopping")
    if part.service is None:
        return CheckResult(ok=False, detail="starting: waits for Kafka and its topics")
    if not part.service.assigned():
        return CheckResult(ok=False, detail="waits to be assigned partitions")
    blocked = [
        f"{group}: {what} fail: {why}"
        for group, figures in part.service.figures().items()
        for what, why in (
            ("hand-overs", figures.blocked),
            ("transitions", figures.unpublished),
            ("dedup notes", figures.unnoted),
        )
        if why
    ]
    return CheckResult(ok=not blocked, detail="; ".join(blocked) or "assigned")
