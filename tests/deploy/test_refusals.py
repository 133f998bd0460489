"""What cannot be deployed is refused before anything is rendered, with the remedy."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.errors import DeployError, NotDeployableError, ProfileError
from headrace.deploy.profile import profile_of, read_profile
from headrace.deploy.rendering import render_kubernetes, render_strimzi
from headrace.pipeline import Pipeline, Queue, Retry

PLAIN: dict[str, Any] = {"image": "mill:1", "kafka": {"bootstrap_servers": "kafka:9092"}}


def refused(pipeline: Pipeline, **profile: Any) -> str:
    with pytest.raises(NotDeployableError) as caught:
        render_kubernetes(pipeline, "mill.jobs:mill", profile_of({**PLAIN, **profile}, "test"))
    return str(caught.value)


def mill(*queues: Queue, timeout: timedelta | None = None, retry: Retry | None = None) -> Pipeline:
    made = Pipeline("mill", queues=queues)

    @made.job("grind", timeout=timeout, retry=retry)
    def grind(grain: str) -> None: ...

    return made


def test_a_name_that_is_too_long_for_a_scaled_object_can_be_given_another() -> None:
    queue = "a-queue-whose-name-nobody-can-remember"
    pipeline = mill(Queue(queue, priorities=("terribly-urgent",)))
    told = refused(pipeline)
    assert f"lane mill.{queue}.terribly-urgent" in told
    assert "54 characters at most" in told
    assert f'write `name` in [lanes."{queue}.terribly-urgent"] of the profile' in told
    lanes = {f"{queue}.terribly-urgent": {"name": "mill-urgent"}}
    files = render_kubernetes(pipeline, "mill.jobs:mill", profile_of({**PLAIN, "lanes": lanes}, ""))
    assert "base/workers/mill-urgent.yaml" in files


def test_more_pods_than_partitions_are_refused() -> None:
    told = refused(mill(Queue("default", partitions=6)), priorities={"low": {"max_replicas": 7}})
    assert "lane mill.default.low: max_replicas = 7, but it has 6 partitions" in told
    assert "write 6 or less" in told


def test_a_job_that_takes_longer_than_a_stopping_pod_is_given_is_refused() -> None:
    pipeline = mill(timeout=timedelta(hours=3))
    told = refused(pipeline)
    assert "a job may take 3h" in told
    assert 'write longest_drain = "3h" in the profile' in told
    profile = profile_of({**PLAIN, "longest_drain": "3h"}, "test")
    files = render_kubernetes(pipeline, "mill.jobs:mill", profile)
    assert "terminationGracePeriodSeconds: 10835" in files["base/workers/mill-default-low.yaml"]


def test_a_retention_that_is_shorter_than_what_waits_is_refused_for_topics_too() -> None:
    short = {**PLAIN, "topics": {"retention": "1d"}}
    for render in (render_kubernetes, render_strimzi):
        with pytest.raises(NotDeployableError, match="set it to 2d or more"):
            render(mill(), "mill.jobs:mill", profile_of(short, "test"))


def test_retries_in_place_that_outlast_the_lanes_retention_are_refused() -> None:
    ordered = Queue("default", ordered=True)
    told = refused(mill(ordered, retry=Retry.fixed(timedelta(days=4), max_attempts=3)))
    assert "job type grind: its queue is ordered" in told
    assert 'write retention = "8d" or more' in told
    patient = mill(retry=Retry.fixed(timedelta(days=4), max_attempts=3))
    assert render_kubernetes(patient, "mill.jobs:mill", profile_of(PLAIN, "test"))


def test_two_lanes_that_would_have_one_name_are_refused() -> None:
    told = refused(
        mill(Queue("a-b", priorities=("c",)), Queue("a", priorities=("b-c",))),
    )
    assert "lanes mill.a-b.c and mill.a.b-c would both be named 'mill-a-b-c'" in told


def test_an_entry_for_a_lane_or_priority_that_is_not_there_is_refused() -> None:
    told = refused(mill(), lanes={"defualt.low": {}}, priorities={"hihg": {}})
    assert '[lanes."defualt.low"] of the profile: the pipeline has no such lane' in told
    assert "[priorities.hihg] of the profile: no queue has this priority" in told


def test_tls_without_a_ca_and_bounds_that_contradict_are_all_told_at_once() -> None:
    kafka = {"bootstrap_servers": "kafka:9093", "security": "scram"}
    lanes = {"default.low": {"min_replicas": 5, "max_replicas": 2, "cpu": 2}}
    told = refused(mill(), kafka=kafka, lanes=lanes)
    assert "no kafka.ca_secret" in told
    assert "min_replicas = 5 is more than max_replicas = 2" in told
    assert "cpu = 2 is more than cpu_limit = 1" in told
    assert len(told.splitlines()) == 3


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ({"image": "x"}, "`kafka` is missing"),
        ({**PLAIN, "imgae": "x"}, "`imgae` is no entry of a profile"),
        ({**PLAIN, "longest_drain": "soon"}, "`longest_drain` = 'soon'"),
        ({**PLAIN, "topics": {"partitions": 0}}, "`topics.partitions` = 0"),
        ({**PLAIN, "lanes": {"a.b": {"name": "No Name"}}}, "`lanes.a.b.name` = 'No Name'"),
        (
            {**PLAIN, "kafka": {"bootstrap_servers": "k", "password": "hunter2"}},
            "`kafka.password` is no entry",
        ),
    ],
)
def test_a_profile_that_cannot_be_used_names_the_entry(profile: dict[str, Any], told: str) -> None:
    with pytest.raises(ProfileError) as caught:
        profile_of(profile, "mill.toml")
    assert f"mill.toml: {told}" in str(caught.value)


def test_topics_that_contradict_each_other_are_told_of() -> None:
    profile = profile_of({**PLAIN, "topics": {"replication": 1}}, "test")
    with pytest.raises(DeployError, match="HEADRACE_TOPIC_MIN_INSYNC=2 is more than"):
        render_strimzi(mill(), "mill.jobs:mill", profile)


def test_a_profile_that_is_not_there_or_no_toml_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"there is no profile .*none\.toml"):
        read_profile(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("image: x\n")
    with pytest.raises(ProfileError, match=r"bad\.toml cannot be read as TOML"):
        read_profile(tmp_path / "bad.toml")
