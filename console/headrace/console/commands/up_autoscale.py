"""`headrace up --autoscale 2..10`: how many workers, and by which rules."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from headrace.console.options import duration
from headrace.console.output import UsageError

if TYPE_CHECKING:
    from headrace.console.process.part import Service
    from headrace.consumers.supervisor import Program, Supervisor
    from headrace.deploy.scaling.strategy import Strategy
    from headrace.pipeline.pipeline import Pipeline
    from headrace.pipeline.settings import KafkaSettings

_SPAN: Final = re.compile(r"(\d{1,3})\.\.(\d{1,3})")
_HEARTBEATS: Final = "HEADRACE_HEARTBEAT_INTERVAL"
_LOCAL: Final = "local"


class Span(NamedTuple):
    """Workers at least, and at most."""

    least: int
    most: int


def span(text: str) -> Span:
    """Read `2..10`; a usage error when it is none."""
    found = _SPAN.fullmatch(text.strip())
    given = Span(int(found[1]), int(found[2])) if found else Span(0, 0)
    if not 1 <= given.least <= given.most <= 512:
        raise typer.BadParameter(
            f"{text!r}: write the fewest and the most workers, from 1 to 512, such as 2..10"
        )
    return given


Autoscale = Annotated[
    Span | None,
    typer.Option(
        "--autoscale",
        parser=span,
        metavar="LEAST..MOST",
        help="As many workers as there is work for, such as 2..10, in place of --processes.",
        show_default=False,
    ),
]
ScaleStrategy = Annotated[
    str,
    typer.Option(
        "--scale-strategy",
        metavar="NAME",
        help="With --autoscale: by which rules; local, or as `headrace scale simulate` takes them.",
    ),
]
JobsPerSecond = Annotated[
    float,
    typer.Option(
        "--jobs-per-second",
        min=0.001,
        metavar="RATE",
        help="With --autoscale: what one worker does.",
    ),
]
ScaleWait = Annotated[
    timedelta,
    typer.Option(
        "--scale-wait",
        parser=duration,
        metavar="DURATION",
        help="With --autoscale: how long a job may lie ready.",
    ),
]


@dataclass(frozen=True, slots=True)
class Autoscaled:
    """How many workers there are, and by which rules."""

    span: Span
    strategy: "Strategy"
    threshold: int
    slots: int

    def idle(self, pipeline: "Pipeline") -> str | None:
        """Say that there may be more workers than partitions to share; None when there are not."""
        from headrace.pipeline.settings import TopicSettings
        from headrace.pipeline.settings import load as load_settings

        usual = load_settings(TopicSettings).topic_partitions
        fewest = min(queue.partitions or usual for queue in pipeline.queues.values())
        if self.span.most <= fewest:
            return None
        return (
            f"--autoscale {self.span.least}..{self.span.most}: a lane is worked on by as many workers as it "
            f"has partitions, {fewest} at the least here; declare queues with more, or ask for fewer"
        )

    def beside(
        self, pipeline: "Pipeline", kafka: "KafkaSettings", workers: "Sequence[Program]"
    ) -> "Callable[[Supervisor], Service]":
        """Make what starts and ends the workers."""

        def make(supervisor: "Supervisor") -> "Service":
            from headrace.console.process.autoscaling import Autoscaling
            from headrace.deploy.scaling.local import LocalScaler
            from headrace.deploy.work_reading import WorkReader

            reader = WorkReader(pipeline, kafka)
            scaler = LocalScaler(
                self.strategy, *self.span, threshold=self.threshold, slots=self.slots
            )
            return Autoscaling(supervisor, workers, self.span.least, scaler, reader.read)

        return make


def autoscaled(
    given: Span | None,
    processes: int | None,
    strategy: str,
    rate: float,
    wait: timedelta,
    concurrency: int | None,
    app_dir: Path | None,
) -> Autoscaled | None:
    """Take the options together; None without --autoscale.

    Raises:
        UsageError: --processes is given too.
        StrategyError: There is no such strategy.
    """
    from headrace.console.commands.scale.choosing import import_from
    from headrace.deploy.scaling.strategies import LOCAL, find_strategy
    from headrace.pipeline.settings import WorkerSettings
    from headrace.pipeline.settings import load as load_settings

    if given is None:
        return None
    if processes is not None:
        raise UsageError("--processes and --autoscale both say how many workers: give one of them")
    import_from(app_dir)
    chosen = LOCAL if strategy == _LOCAL else find_strategy(strategy)
    slots = concurrency or load_settings(WorkerSettings).worker_concurrency
    return Autoscaled(given, chosen, chosen.threshold(rate, wait), slots)


def talkative(child: "Program") -> "Program":
    """Let a worker say every second what it runs, unless the environment says how often."""
    if _HEARTBEATS in os.environ:
        return child
    return replace(child, environment={**child.environment, _HEARTBEATS: "1s"})
