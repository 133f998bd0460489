"""What each rule of scaling says, in words with the numbers in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headrace.deploy.scaling.horizontal import SYNC, Decision, Metric
from headrace.deploy.scaling.kafka_trigger import KafkaTrigger, PartitionOffsets, Reading
from headrace.deploy.scaling.lane_scaler import Told
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.rules import Rules, Select
from headrace.pipeline.durations import format_duration


@dataclass(frozen=True, slots=True)
class Step:
    """One rule: its name, what it says, and its numbers for programs."""

    name: str
    says: str
    numbers: Mapping[str, object] = field(default_factory=dict)


def lag(offsets: Sequence[PartitionOffsets], reading: Reading) -> Step:
    """What KEDA counts."""
    lost = [each.partition for each in offsets if each.committed is None]
    says = (
        f"KEDA counts {reading.lag:,} records: what lies behind the group's offset in each of "
        f"{len(offsets)} partitions, running and finished ones included"
    )
    if lost:
        says += (
            f"; no offset is committed for {_listed(lost)}, where all that is kept counts: run "
            "`headrace topics apply`"
        )
    return Step("lag", says, {"lag": reading.lag, "lags": list(reading.lags)})


def unknown(plan: Plan, replicas: int) -> Step:
    """What it means that no broker can be reached."""
    failures, pods = plan.fallback.failures, plan.fallback.pods(replicas)
    says = "Kafka does not answer, so nobody knows the lag: an error, not an empty lane. "
    if plan.asks_scaler:
        says += (
            f"The external scaler says so. After more than {failures} such answers, the autoscaler's and "
            f"KEDA's own together, the fallback of {_pods(pods)} stands in; until then nothing changes"
        )
        return Step("lag", says, {"lag": None, "fallback_replicas": pods})
    says += (
        "KEDA 2.21 that finds no broker cannot make its triggers, floors neither; it counts no failure "
        "then, and never comes to its fallback. Nothing changes: what runs goes on, what sleeps sleeps on"
    )
    return Step("lag", says, {"lag": None, "fallback_replicas": None})


def truth(
    raw: int, ready: int, finished: int, running: int | None, overdue: int | None, lost: int
) -> Step:
    """What is really to do."""
    parts = [
        f"{finished:,} of the {raw:,} are finished above a commit point",
        "what runs of them is not known"
        if running is None
        else f"{running:,} run, as far as heartbeats tell",
        "what is due in the delay tiers is not known"
        if overdue is None
        else f"{overdue:,} more are due and lie in the delay tiers still",
    ]
    if lost:
        parts.append(f"{lost:,} were deleted by retention before anybody finished them")
    most = " at most" if running is None or overdue is None else ""
    return Step(
        "ready backlog",
        f"{ready:,} jobs{most} are due and not started: {'; '.join(parts)}",
        {"ready": ready, "finished_above": finished, "running": running, "overdue": overdue},
    )


def threshold(plan: Plan) -> Step:
    """What one pod is for."""
    factor = plan.strategy.wait_factor
    times = "" if factor == 1 else f" * {factor:g} (strategy {plan.strategy.name})"
    return Step(
        "threshold",
        f"one pod is for {plan.threshold:,} jobs: {plan.jobs_per_second:g} a second * "
        f"{format_duration(plan.wait)} that a job may wait{times}",
        {"threshold": plan.threshold},
    )


def trigger(kafka: KafkaTrigger, reading: Reading) -> Step:
    """What the metric becomes on its way."""
    asked = -(-reading.lag // kafka.threshold)
    says = f"{reading.lag:,} / {kafka.threshold:,} asks for {_pods(max(0, asked))}"
    if reading.balanced is not None and reading.balanced != asked:
        changed = "raised" if reading.balanced > asked else "cut"
        says += (
            f"; of {len(reading.lags)} partitions each pod is to have as many, so the metric is "
            f"{changed} to {_pods(reading.balanced)}"
        )
    if reading.bound is not None:
        says += (
            f"; more than {reading.bound} it never asks for, a pod without a partition does nothing"
        )
    return Step(
        "trigger",
        says,
        {"metric": reading.metric, "balanced": reading.balanced, "bound": reading.bound},
    )


def backlog(plan: Plan, metric: Metric) -> Step:
    """What the external scaler tells."""
    value = "nobody knows how much" if metric.value is None else f"{metric.value:,.0f} jobs"
    says = f"the external scaler tells the ready backlog, {value} now, and what falls due while a pod starts"
    if plan.expects:
        says += ", or what it is expected to be in a minute if that is more"
    return Step("trigger", f"{says}; only the scaler knows all of that", {"metric": metric.value})


def floors(plan: Plan, when: datetime) -> Step:
    """What is kept at this time of day."""
    wanted = [each.wanted(when) for each in plan.floors]
    told = (
        f"{floor} ({'on' if now else 'off'} now)"
        for floor, now in zip(plan.floors, wanted, strict=True)
    )
    says = f"kept at certain times: {'; '.join(told)}; the highest of all triggers counts, not their sum"
    return Step("floors", says, {"floors": wanted})


def activation(plan: Plan, replicas: int, told: Told) -> Step:
    """Whether it sleeps or wakes."""
    every = format_duration(plan.strategy.polling)
    if replicas == 0 and told.active:
        says = (
            f"there is something to do: KEDA makes the first pod at its next look, within {every}"
        )
    elif told.trouble and not told.active:
        what = "nothing is woken" if replicas == 0 else "KEDA takes nothing away"
        says = f"nobody knows whether there is something to do: {what}"
    elif replicas == 0:
        says = f"nothing to do: it sleeps, and KEDA looks every {every}"
    else:
        what = "something" if told.active else "nothing"
        says = f"there is {what} to do; with pods running that begins or ends only the cooldown"
    return Step("activation", says, {"active": told.active})


def ratio(plan: Plan, decision: Decision) -> Step:
    """What the autoscaler makes of the metric."""
    highest = max(decision.proposals, key=lambda each: each.replicas)
    value = highest.metric.value or 0.0
    says = (
        f"{highest.metric.name} is {highest.ratio:.2f} of what {_pods(decision.current)} can do, "
        f"{decision.current} * {highest.metric.target:g}"
    )
    if highest.tolerated:
        up, down = plan.strategy.up.leeway, plan.strategy.down.leeway
        says += f", within the tolerance (+{up:.0%}, -{down:.0%}), so nothing changes"
    else:
        says += f"; {value:,.0f} / {highest.metric.target:g}, rounded up, wants {_pods(highest.replicas)}"
    return Step("autoscaler", says, {"ratio": highest.ratio, "wanted": decision.wanted})


def bounds(plan: Plan, wanted: int) -> Step:
    """What the ScaledObject lets be."""
    bounded = min(max(wanted, plan.least, 1), plan.most)
    says = f"between {plan.least} and {_pods(plan.most)}: {bounded}"
    return Step("bounds", says, {"min": plan.least, "max": plan.most, "bounded": bounded})


def windows(plan: Plan, current: int, wanted: int) -> Step:
    """What must have been so for a while."""
    up, down = (format_duration(each.window) for each in (plan.strategy.up, plan.strategy.down))
    if wanted > current:
        says = f"up only as far as was wanted at every look of the last {up}"
        says = says if plan.strategy.up.window else "up at once"
    elif wanted < current:
        says = f"down only as far as was wanted at every look of the last {down}"
        says = says if plan.strategy.down.window else "down at once"
    else:
        says = f"nothing to change (up after {up}, down after {down})"
    return Step(
        "windows",
        f"{says}; looks come every {format_duration(SYNC)}, and those of before only the cluster knows",
    )


def policies(plan: Plan, current: int, wanted: int) -> Step:
    """How far a step may go."""
    rules = plan.strategy.up if wanted >= current else plan.strategy.down
    way = "up" if wanted >= current else "down"
    listed = " or ".join(map(str, rules.policies))
    return Step(
        "policies", f"{way} by {_chosen(rules, listed)}, what changed within that time included"
    )


def cooldown(plan: Plan, replicas: int, told: Told) -> Step:
    """When the last pod goes."""
    if plan.least:
        return Step("cooldown", f"without work it keeps {_pods(plan.least)}: it never sleeps")
    after = format_duration(plan.strategy.cooldown)
    says = f"the last pod goes when nothing was to do for {after}"
    if replicas and not told.active:
        says += "; since when that is so, KEDA knows alone (`.status.lastActiveTime`)"
    return Step("cooldown", says, {"cooldown_seconds": plan.strategy.cooldown.total_seconds()})


def fallback(plan: Plan, replicas: int) -> Step:
    """What an error would do."""
    given, whom = plan.fallback, "the external scaler" if plan.asks_scaler else "Kafka"
    return Step(
        "fallback",
        f"if {whom} answered with an error more than {given.failures} times in a row: "
        f"{_pods(given.pods(replicas))} ({given.behaviour}, {given.replicas})",
        {"fallback_replicas": given.pods(replicas)},
    )


def _chosen(rules: Rules, listed: str) -> str:
    if rules.select is Select.DISABLED:
        return "nothing: this direction is off"
    several = len(rules.policies) > 1
    which = "whichever is more" if rules.select is Select.MAX else "whichever is less"
    return f"{listed}, {which}" if several else f"{listed} at most"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count:,} pods"


def _listed(numbers: Sequence[int]) -> str:
    return ("partition " if len(numbers) == 1 else "partitions ") + ", ".join(map(str, numbers))
