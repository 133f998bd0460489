"""Strategies: what each renders, custom ones, floors, and what cannot be deployed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from examples.shop.jobs import shop
from headrace.deploy.errors import NotDeployableError, ProfileError, StrategyError
from headrace.deploy.kubernetes import kubernetes_files
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile import profile_of
from headrace.deploy.refusals import refuse
from headrace.deploy.scaling import strategies
from headrace.deploy.scaling.floors import Floor
from headrace.deploy.scaling.rules import Rules, Select, percent, pods
from headrace.deploy.scaling.strategies import STRATEGIES, find_strategy
from headrace.deploy.scaling.strategy import Fallback, FallbackBehaviour, Strategy

SECOND = timedelta(seconds=1)
MINE = Strategy(
    "mine",
    up=Rules(timedelta(), (pods(2, 30 * SECOND), percent(50, 60 * SECOND)), Select.MIN),
    down=Rules(60 * SECOND, (pods(1, 60 * SECOND),), tolerance=0.25),
    cooldown=90 * SECOND,
    polling=7 * SECOND,
    wait_factor=0.1,
    fallback=Fallback(5, 2, FallbackBehaviour.STATIC),
)
NOT_ONE = "a text"


def setting(**profile: Any) -> Setting:
    plain = {"image": "shop:1", "kafka": {"bootstrap_servers": "kafka:9092"}}
    return Setting(shop, "examples.shop.jobs:shop", profile_of({**plain, **profile}, "test"))


def scaled(name: str = "shop-default-high", **profile: Any) -> Any:
    chosen = setting(**profile)
    refuse(chosen)
    [found] = [
        each["spec"]
        for documents in kubernetes_files(chosen).values()
        for each in documents
        if each["kind"] == "ScaledObject" and each["metadata"]["name"] == name
    ]
    return found


def refused(**profile: Any) -> str:
    with pytest.raises(NotDeployableError) as caught:
        refuse(setting(**profile))
    return str(caught.value)


def test_a_strategy_is_chosen_by_priority_and_by_lane_and_the_lane_decides() -> None:
    profile: dict[str, Any] = {
        "priorities": {"high": {"strategy": "aggressive"}, "low": {"strategy": "conservative"}},
        "lanes": {"payments.high": {"strategy": "default"}},
    }
    assert scaled(**profile)["pollingInterval"] == 5
    assert scaled("shop-payments-high", **profile)["pollingInterval"] == 10
    assert scaled("shop-default-low", **profile)["cooldownPeriod"] == 600


@pytest.mark.parametrize(
    ("name", "threshold"), [("default", 200), ("aggressive", 100), ("conservative", 400)]
)
def test_the_threshold_is_what_a_pod_does_in_the_wait_times_the_strategys_factor(
    name: str, threshold: int
) -> None:
    lanes = {"default.high": {"jobs_per_second": 20, "wait": "10s", "strategy": name}}
    [trigger] = scaled(lanes=lanes)["triggers"]
    assert trigger["metadata"]["lagThreshold"] == str(threshold)


def test_a_strategy_of_ones_own_is_rendered_with_all_that_it_says() -> None:
    spec = scaled(lanes={"default.high": {"strategy": f"{__name__}:MINE", "min_replicas": 3}})
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (7, 90)
    assert spec["fallback"] == {"failureThreshold": 5, "replicas": 3, "behavior": "static"}
    assert spec["triggers"][0]["metadata"]["lagThreshold"] == "20"
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Min",
            "policies": [
                {"type": "Pods", "value": 2, "periodSeconds": 30},
                {"type": "Percent", "value": 50, "periodSeconds": 60},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 60,
            "tolerance": "0.25",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    }


def test_an_installed_package_offers_a_strategy_by_an_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered = EntryPoints([EntryPoint("night", f"{__name__}:MINE", strategies.GROUP)])
    monkeypatch.setattr(strategies, "entry_points", lambda group: offered.select(group=group))
    assert find_strategy("night") is MINE
    with pytest.raises(StrategyError, match=r"one of default, .*, night, or module:attribute"):
        find_strategy("nihgt")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("agressive", "there is no strategy 'agressive': write one of default, aggressive"),
        ("no.such.module:mine", "cannot be imported: ModuleNotFoundError"),
        (f"{__name__}:missing", "cannot be imported: AttributeError"),
        (f"{__name__}:NOT_ONE", "is a str, not a headrace.deploy.scaling.strategy.Strategy"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused_with_the_lane_and_the_entry(
    name: str, told: str
) -> None:
    said = refused(lanes={"default.high": {"strategy": name}})
    assert "lane shop.default.high" in said
    assert told in said
    assert '[lanes."default.high"] of the profile' in said


def test_a_forecast_is_refused_where_only_the_kafka_trigger_measures() -> None:
    said = refused(lanes={"default.low": {"strategy": "predictive"}})
    assert "'predictive' scales on a forecast" in said
    assert "say [scaler] in the profile" in said
    assert "default, aggressive, conservative" in said


def test_a_forecast_is_asked_of_the_external_scaler_with_the_strategys_threshold() -> None:
    scaler = {"certificates_secret": "scaler", "client_secret": "keda"}
    lanes = {"default.low": {"strategy": "predictive"}}
    [low] = scaled("shop-default-low", lanes=lanes, scaler=scaler)["triggers"]
    [high] = scaled(lanes=lanes, scaler=scaler)["triggers"]
    assert (low["type"], low["metadata"]["forecast"]) == ("external-push", "true")
    assert (high["type"], high["metadata"]["forecast"]) == ("external-push", "false")
    assert low["metadata"]["target"] == "2400"


WORKDAYS = {"start": "0 7 * * 1-5", "end": "0 19 * * 1-5", "timezone": "Europe/Vienna"}


def test_floors_are_cron_triggers_beside_the_lanes_own() -> None:
    own, floor = scaled(lanes={"default.high": {"floors": [{**WORKDAYS, "replicas": 4}]}})[
        "triggers"
    ]
    assert own["type"] == "kafka"
    assert floor == {"type": "cron", "metadata": {**WORKDAYS, "desiredReplicas": "4"}}


def test_a_floor_above_the_pods_that_a_lane_may_have_is_refused() -> None:
    lanes = {"default.high": {"max_replicas": 3, "floors": [{**WORKDAYS, "replicas": 4}]}}
    said = refused(lanes=lanes)
    assert "a floor of 4 pods from `0 7 * * 1-5` to `0 19 * * 1-5` Europe/Vienna" in said
    assert "write 3 or less in `floors`" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"start": "7 o'clock"}, "five fields"),
        ({"start": "0 77 * * *"}, "is no cron expression"),
        ({"timezone": "Vienna"}, "is no time zone"),
        ({"end": WORKDAYS["start"]}, "never on"),
        ({"replicas": 0}, "greater than or equal to 1"),
    ],
)
def test_a_floor_that_cannot_be_is_refused_with_its_place(
    change: dict[str, Any], told: str
) -> None:
    floor = {**WORKDAYS, "replicas": 4, **change}
    with pytest.raises(ProfileError, match=r"lanes\.default\.high\.floors\.0") as caught:
        setting(lanes={"default.high": {"floors": [floor]}})
    assert told in str(caught.value)


def moments() -> Iterator[tuple[str, int]]:
    yield "2026-07-01T05:00:01+00:00", 4  # a Wednesday, 7:00:01 in Vienna
    yield "2026-07-01T04:59:59+00:00", 0
    yield "2026-07-01T16:59:59+00:00", 4
    yield "2026-07-01T17:00:01+00:00", 0
    yield "2026-01-07T05:30:00+00:00", 0  # 6:30 in winter
    yield "2026-07-04T10:00:00+00:00", 0  # a Saturday


@pytest.mark.parametrize(("moment", "wanted"), list(moments()))
def test_a_floor_is_on_from_start_to_end_by_its_zones_clock(moment: str, wanted: int) -> None:
    assert Floor(**WORKDAYS, replicas=4).wanted(datetime.fromisoformat(moment)) == wanted


def test_a_floor_over_midnight_is_on_until_the_morning() -> None:
    night = Floor("0 22 * * *", "0 6 * * *", 2)
    hours = [hour for hour in range(24) if night.wanted(datetime(2026, 7, 1, hour, 30, tzinfo=UTC))]
    assert hours == [0, 1, 2, 3, 4, 5, 22, 23]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rules(timedelta(hours=2), (pods(1, SECOND),)),
        lambda: Rules(timedelta(), ()),
        lambda: Rules(timedelta(), (pods(1, SECOND),), tolerance=1.5),
        lambda: pods(1, timedelta(hours=1)),
        lambda: percent(0, SECOND),
        lambda: pods(1, timedelta(milliseconds=1500)),
        lambda: Strategy("x", MINE.up, MINE.down, wait_factor=0),
        lambda: Strategy("x", MINE.up, MINE.down, polling=timedelta()),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_where_it_is_written(make: Any) -> None:
    with pytest.raises(StrategyError):
        make()


def test_every_strategy_of_the_table_goes_by_its_name() -> None:
    assert all(find_strategy(name).name == name for name in STRATEGIES)
