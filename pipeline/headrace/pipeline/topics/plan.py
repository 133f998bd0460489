"""What `headrace topics apply` would do, and how it reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console

from headrace.pipeline.schema_topic import PublishedSchema
from headrace.pipeline.topics import render
from headrace.pipeline.topics.offsets import OffsetStep, listed
from headrace.pipeline.topics.render import PlanRow
from headrace.pipeline.topics.wanted import WantedTopic


class Action(StrEnum):
    """What happens to a topic."""

    CREATE = "create"
    CHANGE = "change"
    GROW = "grow"
    KEEP = "keep"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One setting of a topic that is not as declared."""

    name: str
    before: str | None
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class TopicStep:
    """What happens to one topic.

    Attributes:
        wanted: What it must be like.
        action: What happens. A topic that grows may have settings changed too; a refused one is
            left as it is.
        config: The settings of a topic that exists which are to be changed.
        replicas: Of the topic, or what it will get; None when only the broker knows.
        before: Its partitions now; 0 when it does not exist.
        problems: Why it is refused, each with its remedy.
        warnings: What differs and is left alone.
    """

    wanted: WantedTopic
    action: Action
    config: tuple[ConfigChange, ...] = ()
    replicas: int | None = None
    before: int = 0
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def after(self) -> int:
        """Its partitions once the plan is applied."""
        grows = self.action in {Action.CREATE, Action.GROW}
        return self.wanted.partitions if grows else self.before


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What `apply_plan` does. Applied once, a second plan finds nothing to do.

    Attributes:
        pipeline: The pipeline's name.
        control_topic: Where partition counts are recorded.
        schemas_topic: Where schemas are published.
        steps: One for each topic of the pipeline.
        offsets: The topics whose groups lack offsets.
        floors: Partition counts to record before anything grows, by topic: a live worker may
            begin only the partitions beyond them at 0.
        counts: Partition counts to record at the end, by topic: how many have offsets.
        schemas: Declared schemas that are not published yet.
        schema_problems: Why a schema cannot be published.
    """

    pipeline: str
    control_topic: str
    schemas_topic: str
    steps: tuple[TopicStep, ...]
    offsets: tuple[OffsetStep, ...] = ()
    floors: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    schemas: tuple[PublishedSchema, ...] = ()
    schema_problems: tuple[str, ...] = ()

    def with_action(self, *actions: Action) -> tuple[TopicStep, ...]:
        """The steps with one of these actions."""
        return tuple(step for step in self.steps if step.action in actions)

    @property
    def refused(self) -> tuple[str, ...]:
        """Everything that will not be done, with reason and remedy, one sentence each."""
        topics = (problem for step in self.steps for problem in step.problems)
        offsets = (step.problem for step in self.offsets if step.problem)
        return (*topics, *offsets, *self.schema_problems)

    @property
    def nothing_to_do(self) -> bool:
        """Whether applying would change nothing. What is refused does not count."""
        changes = self.with_action(Action.CREATE, Action.CHANGE, Action.GROW)
        commits = any(step.commits for step in self.offsets)
        return not (changes or commits or self.floors or self.counts or self.schemas)

    @property
    def summary(self) -> str:
        """One line: `Plan: 14 to create, 0 to change, 0 refused, …`."""
        count = {action: len(self.with_action(action)) for action in Action}
        commits = sum(len(step.commits) for step in self.offsets)
        return (
            f"Plan: {count[Action.CREATE]} to create, "
            f"{count[Action.CHANGE] + count[Action.GROW]} to change, {len(self.refused)} refused; "
            f"{count[Action.KEEP]} topics as declared, {commits} initial offsets, "
            f"{len(self.schemas)} schemas to publish"
        )

    def rows(self) -> tuple[PlanRow, ...]:
        """What changes or is refused, in the order in which it happens; kept topics are left out."""
        return tuple(self._rows())

    def render(self, console: Console) -> None:
        """Print the plan as Terraform prints its own: a line for each row, then the summary."""
        render.show(console, self.rows(), self.summary)

    def _rows(self) -> Iterator[PlanRow]:
        for step in self.steps:
            if step.action is not Action.KEEP or step.warnings:
                yield _topic_row(step)
        new = {step.wanted.name for step in self.with_action(Action.CREATE)}
        for offsets in self.offsets:
            if offsets.topic not in new:  # told with the topic
                yield from _offset_rows(offsets)
        for schema in self.schemas:
            yield PlanRow("+", "publish", f"schema of {schema.name}", (schema.told,))
        for problem in self.schema_problems:
            yield PlanRow("!", Action.REFUSE, "schema", (problem,))
        for topic, count in self.counts.items():
            if topic in new:
                continue
            yield PlanRow("~", "record", topic, (f"{count} partitions have offsets",))


_SYMBOLS = {
    Action.CREATE: "+",
    Action.CHANGE: "~",
    Action.GROW: "~",
    Action.KEEP: "=",
    Action.REFUSE: "!",
}


def _topic_row(step: TopicStep) -> PlanRow:
    details = (*step.problems, *step.warnings, *(str(change) for change in step.config))
    if step.action is Action.CREATE:
        replicas = "the broker's" if step.replicas is None else step.replicas
        details = (f"{step.wanted.role}, partitions: {step.after}, replicas: {replicas}",)
    elif step.action is Action.GROW:
        details = (f"partitions: {step.before} → {step.after}", *details)
    return PlanRow(_SYMBOLS[step.action], step.action, step.wanted.name, details)


def _offset_rows(step: OffsetStep) -> Iterator[PlanRow]:
    subject = step.topic if step.topic == step.group else f"{step.topic} for {step.group}"
    if step.problem:
        yield PlanRow("!", Action.REFUSE, subject, (step.problem,))
    if step.commits:
        places = {f"{listed([p])} at {offset}" for p, offset in step.commits.items() if offset}
        zeros = [p for p, offset in step.commits.items() if not offset]
        first = (f"{listed(zeros)} at 0",) if zeros else ()
        yield PlanRow("+", "commit", subject, (*first, *sorted(places)))
    if step.waiting:
        reason = f"{listed(step.waiting)}: the group's live workers begin them at 0"
        yield PlanRow("=", Action.KEEP, subject, (reason,))
