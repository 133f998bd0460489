"""`headrace scale explain`: why KEDA and the autoscaler run so many pods of a lane."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.scale.choosing import (
    LaneName,
    ProfileFile,
    environment_of,
    lane_named,
    setting_of,
)
from headrace.console.options import AppDir, Json, Reference, load, required
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.deploy.lane_reading import LaneNow
    from headrace.deploy.scaling.explaining import Explanation

_PATIENCE: Final = 20.0


class ClusterError(HeadraceError):
    """The cluster does not say how many pods there are."""


def explain(
    lane: LaneName,
    pipeline: Reference = None,
    *,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Pods that there are; the lane's least when neither this nor --namespace is given.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            metavar="NAME",
            help="Ask kubectl (KUBECONFIG) how many pods the lane's Deployment has in it.",
            show_default=False,
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--environment",
            metavar="NAME",
            help="Take the bounds that lanes have in this environment of the profile; that of "
            "--namespace when not given, and the profile's own where no environment lives there.",
            show_default=False,
        ),
    ] = None,
    profile: ProfileFile = None,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Say why a lane would have so many pods now, rule by rule, with the numbers.

    Kafka is asked for offsets as KEDA asks for them. What is really ready is said beside the lag.
    Exit code 1 when Kafka does not answer: what becomes of the pods then is said first.
    """
    from headrace.deploy.lane_reading import read_lane
    from headrace.deploy.scaling.explaining import Moment, explain
    from headrace.pipeline.errors import KafkaUnavailableError

    declared = load(pipeline, app_dir)
    setting = setting_of(declared, required(pipeline), profile)
    chosen = lane_named(declared, lane)
    plan = setting.plan(chosen, environment_of(setting, environment, namespace))
    pods = replicas if replicas is not None else plan.least
    if replicas is None and namespace is not None:
        pods = _asked(namespace, setting.lane_name(chosen))
    now: LaneNow | None = None
    problem: KafkaUnavailableError | None = None
    try:
        now = read_lane(declared, views.kafka(), chosen.topic)
        plan = replace(plan, partitions=len(now.offsets))
    except KafkaUnavailableError as error:
        problem = error
    moment = Moment(datetime.now(UTC), pods, now and now.offsets, now and now.truth)
    found = explain(plan, moment)
    if json:
        output.print_json({"lane": chosen.topic, "strategy": plan.strategy.name, **found.as_json()})
    else:
        _print(chosen.topic, plan.strategy.name, found, now)
    if now is not None and now.note is not None:
        output.progress(f"less is known than could be: {now.note}")
    if problem is not None:
        raise problem


def _print(topic: str, strategy: str, found: "Explanation", now: "LaneNow | None") -> None:
    wanted = "nobody knows" if found.wanted is None else found.wanted
    output.facts(
        [
            ("lane", topic),
            ("strategy", strategy),
            ("pods now", found.replicas),
            ("wanted now", wanted),
            ("comes to", _course(found)),
        ]
    )
    if now is not None and (rows := list(_rows(now))):
        print()
        output.table(["partition", "start", "end", "committed", "KEDA counts"], rows)
    print()
    for number, step in enumerate(found.steps, 1):
        print(f"{number:2}. {step.name}: {step.says}.")


def _rows(now: "LaneNow") -> Any:
    from headrace.deploy.scaling.kafka_trigger import KafkaTrigger

    counting = KafkaTrigger(1)
    for each in now.offsets:
        if lag := counting.lag_of(each):
            yield each.partition, each.start, each.end, each.committed, lag


def _course(found: "Explanation") -> str:
    seconds, _ = found.moves[-1]
    if not seconds:
        return f"{found.settled}, which it has"
    way = ", ".join(str(pods) for _, pods in found.moves)
    after = output.shown_duration(timedelta(seconds=seconds))
    return f"{found.settled} after {after}, if all stays as it is ({way})"


def _asked(namespace: str, name: str) -> int:
    """Ask the cluster how many pods a Deployment is to have.

    Raises:
        ClusterError: It does not say.
    """
    command = ["kubectl", "--namespace", namespace, "get", "deployment", name]
    remedy = "give --replicas, or see that `kubectl` reaches the cluster (KUBECONFIG)"
    try:
        done = subprocess.run(  # noqa: S603 - names that Kubernetes takes, and no shell
            [*command, "--output", "jsonpath={.spec.replicas}"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"`{' '.join(command)}` does not run: {error}; {remedy}") from error
    if done.returncode or not done.stdout.strip().isdigit():
        said = done.stderr.strip() or "it said nothing"
        raise ClusterError(f"`{' '.join(command)}` failed: {said}; {remedy}")
    return int(done.stdout)
