"""Declarations that cannot be deployed: found before anything is rendered, each with its remedy."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import Final

from headrace.deploy.errors import NotDeployableError, StrategyError
from headrace.deploy.kubernetes.scaling import LONGEST_NAME
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile_kafka import Security
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.strategies import STRATEGIES
from headrace.pipeline.durations import format_duration
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.queues import Lane
from headrace.pipeline.retry import Retry
from headrace.pipeline.retry_plan import plan_of
from headrace.pipeline.topics.wanted import check_settings

_NAMES_KEPT: Final = "the groups and topics keep their names"
_OF_LAG: Final = tuple(name for name, each in STRATEGIES.items() if not each.forecast)


def refuse(setting: Setting) -> None:
    """Refuse what could not work.

    Raises:
        NotDeployableError: It could not; a line for each reason, with the value and the remedy.
        ProfileError: The profile's topics contradict each other.
    """
    if problems := list(_problems(setting)):
        raise NotDeployableError("\n".join(problems))


def _problems(setting: Setting) -> Iterator[str]:
    lanes = list(setting.pipeline.topology.lanes())
    yield from _unknown(setting, lanes)
    yield from _shared_names(setting, lanes)
    yield from _missing(setting)
    yield from _waits(setting)
    for lane in lanes:
        yield from _of_lane(setting, lane)


def _of_lane(setting: Setting, lane: Lane) -> Iterator[str]:
    name, size, most = setting.lane_name(lane), setting.size(lane), setting.max_replicas(lane)
    place = f'[lanes."{lane.queue}.{lane.priority}"] of the profile'
    if len(name) > LONGEST_NAME:
        yield (
            f"lane {lane.topic}: KEDA takes ScaledObjects of {LONGEST_NAME} characters at most, and "
            f"{name!r} has {len(name)}; write `name` in {place} ({_NAMES_KEPT}), or shorten the "
            "pipeline's, the queue's or the priority's name"
        )
    partitions = setting.partitions(lane)
    if most > partitions:
        yield (
            f"lane {lane.topic}: max_replicas = {most}, but it has {partitions} partitions, and a "
            f"pod without one has nothing to do; write {partitions} or less in {place}, or declare "
            f"the queue with partitions={most} (more partitions move the keys of an ordered queue)"
        )
    if size.min_replicas > most:
        yield (
            f"lane {lane.topic}: min_replicas = {size.min_replicas} is more than max_replicas = "
            f"{most}; lower the one or raise the other in {place}"
        )
    if size.cpu > size.cpu_limit:
        yield (
            f"lane {lane.topic}: cpu = {size.cpu:g} is more than cpu_limit = {size.cpu_limit:g}; "
            f"raise cpu_limit in {place}"
        )
    yield from _drain(setting, lane)
    yield from _scaling(setting, lane, place)


def _scaling(setting: Setting, lane: Lane, place: str) -> Iterator[str]:
    try:
        plan = setting.plan(lane)
    except StrategyError as error:
        yield f"lane {lane.topic}: {error}; it is chosen by `strategy` in {place}, or of its priority"
        return
    if plan.expects and setting.profile.scaler is None:
        yield _no_forecast(lane, plan, place)
    for floor in plan.floors:
        if floor.replicas > plan.most:
            yield (
                f"lane {lane.topic}: a floor of {floor}, but it has {plan.most} pods at most; write "
                f"{plan.most} or less in `floors` of {place}, or raise max_replicas"
            )


def _no_forecast(lane: Lane, plan: Plan, place: str) -> str:
    return (
        f"lane {lane.topic}: strategy {plan.strategy.name!r} scales on a forecast, which KEDA's kafka "
        f"trigger does not know; say [scaler] in the profile (docs/how-to/scale-on-due-work.md), or write "
        f"another strategy in {place}: {', '.join(_OF_LAG)}"
    )


def _drain(setting: Setting, lane: Lane) -> Iterator[str]:
    timeout, longest = setting.longest_timeout(lane), setting.profile.longest_drain
    if timeout > longest:
        yield (
            f"lane {lane.topic}: a job may take {format_duration(timeout)}, but a pod that is told "
            f"to stop is killed after {format_duration(longest)}, so such a job would be run again "
            f"at every update and scale-in; write longest_drain = "
            f'"{format_duration(timeout)}" in the profile, or shorten the timeout of the job types '
            f"of queue {lane.queue!r}"
        )


def _waits(setting: Setting) -> Iterator[str]:
    """What waits must not be deleted by Kafka meanwhile."""
    topics = setting.profile.topics.settings()
    try:
        check_settings(topics)
    except SettingsError as error:
        yield f"[topics] of the profile: {error}"
    for job_type in setting.pipeline.job_types.values():
        policy = job_type.policy
        if setting.pipeline.queues[policy.queue].ordered:
            wait = plan_of(policy.retry or Retry()).dead_after[1]
            yield from _in_place(job_type.name, wait, topics.topic_retention)


def _in_place(name: str, wait: timedelta, retention: timedelta) -> Iterator[str]:
    if wait > retention:
        yield (
            f"job type {name}: its queue is ordered, so a failed job waits in its lane, for up to "
            f"{format_duration(wait)}, and Kafka deletes it there after {format_duration(retention)}; "
            f'write retention = "{format_duration(wait)}" or more in [topics] of the profile, or '
            "let it be tried less often"
        )


def _unknown(setting: Setting, lanes: list[Lane]) -> Iterator[str]:
    """An entry for a lane that is not there would be passed over in silence."""
    known = {f"{lane.queue}.{lane.priority}" for lane in lanes}
    for name in sorted(setting.profile.lanes.keys() - known):
        yield (
            f'[lanes."{name}"] of the profile: the pipeline has no such lane (it has: '
            f"{', '.join(sorted(known))}); correct the name or leave the entry out"
        )
    priorities = {lane.priority for lane in lanes}
    for name in sorted(setting.profile.priorities.keys() - priorities):
        yield (
            f"[priorities.{name}] of the profile: no queue has this priority (there are: "
            f"{', '.join(sorted(priorities))}); correct the name or leave the entry out"
        )


def _shared_names(setting: Setting, lanes: list[Lane]) -> Iterator[str]:
    by_name = sorted(lanes, key=setting.lane_name)
    for name, group in groupby(by_name, key=setting.lane_name):
        sharers = [lane.topic for lane in group]
        if len(sharers) > 1:
            yield (
                f"lanes {' and '.join(sharers)} would both be named {name!r}; write `name` for one "
                f"of them in [lanes.…] of the profile ({_NAMES_KEPT})"
            )


def _missing(setting: Setting) -> Iterator[str]:
    kafka = setting.profile.kafka
    if kafka.security is not Security.PLAINTEXT and kafka.ca_secret is None:
        yield (
            f'kafka.security = "{kafka.security}" in the profile, but no kafka.ca_secret: name the '
            "Secret whose key ca.crt the brokers are checked against (Strimzi makes "
            f"{kafka.cluster}-cluster-ca-cert)"
        )
