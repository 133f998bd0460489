"""What KEDA is told, call by call, over a real channel; Kafka and the clock are said to be so or so."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import ScalerSettings, load
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.processors.lag.report import Running
from headrace.processors.scaler.certificates import Certificates
from headrace.processors.scaler.server import ScalerServer
from headrace.processors.scaler.servicing import ScalerServicer
from headrace.processors.snapshot import CommitPoint
from tests.processors.lag.build import AT
from tests.processors.scaler.serving import LANE, START_TIME, TRIGGER, World, serving
from tests.support.keda import Keda
from tests.support.secured import Certificates as Authority
from tests.support.stage import wait_until


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def keda(world: World) -> Iterator[Keda]:
    with serving(world) as address, Keda(address) as keda:
        yield keda


def test_a_lane_is_active_from_its_start_time_before_a_delayed_job_is_due(world: World) -> None:
    finish_everything(world)
    world.said.wait("5m", "q0.normal", AT + 100_000)
    with serving(world) as address, Keda(address) as keda, keda.stream(**TRIGGER) as told:
        told.await_words(False)
        world.now = AT + 69_000
        assert not keda.is_active(**TRIGGER)
        world.now = AT + 70_000
        told.await_words(False, True)
        assert keda.jobs(**TRIGGER) == 1
        assert told.end is None


def test_a_lane_whose_last_jobs_run_is_active_and_asks_for_no_more_pods(world: World) -> None:
    world.said.running = {(LANE, 0): Running(4, AT)}
    with serving(world) as address, Keda(address) as keda:
        assert (keda.jobs(**TRIGGER), keda.is_active(**TRIGGER)) == (0, True)


def test_streams_end_in_order_when_the_scaler_stops_so_that_keda_comes_back_at_once(
    world: World,
) -> None:
    with ExitStack() as stack:
        with serving(world) as address:
            keda = stack.enter_context(Keda(address))
            told = stack.enter_context(keda.stream(**TRIGGER))
            told.await_words(True)
        wait_until("it has ended", lambda: told.end)
        assert told.end is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lane": "shop.q0.hihg"}, f"has no such lane; write one of: {LANE}"),
        ({"lane": ""}, "lacks lane: add it"),
        ({"pipeline": "store"}, "pipeline='store': this scaler serves 'shop'"),
        ({"target": "0"}, "target='0': write a number above 0"),
        ({"startTime": "2h"}, "startTime='2h': write a number above 0"),
        ({"startTime": "3600"}, "startTime='3600': write 900 seconds or fewer"),
        ({"forecast": "yes"}, 'forecast=\'yes\': write "true" or "false"'),
        ({"maxReplicas": "1.5"}, "maxReplicas='1.5': write a whole number above 0"),
        ({"starttime": "5"}, "starttime='5' means nothing, did you mean startTime?"),
    ],
)
def test_bad_metadata_is_refused_with_the_value_and_the_remedy(
    keda: Keda, changed: dict[str, str], told: str
) -> None:
    code, sentence = keda.refused(**TRIGGER | changed)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert told in sentence
    with keda.stream(**TRIGGER | changed) as stream:
        wait_until("it ends", lambda: stream.end)
        assert stream.end is grpc.StatusCode.INVALID_ARGUMENT


def test_while_nobody_knows_calls_say_why_streams_stay_and_health_fails(world: World) -> None:
    with serving(world) as address, Keda(address) as keda, keda.stream(**TRIGGER) as told:
        told.await_words(True)
        world.away = "no broker answers on kafka:9092"
        wait_until("it is noticed", lambda: keda.health() == "NOT_SERVING")
        expected = f"the backlog of {LANE} is not known: no broker answers on kafka:9092"
        assert keda.refused(**TRIGGER) == (grpc.StatusCode.UNAVAILABLE, expected)
        with pytest.raises(grpc.RpcError, match="no broker answers"):
            keda.is_active(**TRIGGER)
        assert keda.spec(**TRIGGER) == ("shop-q0-normal", 10)
        finish_everything(world)
        world.away = ""
        told.await_words(True, False)


def test_a_lane_without_offsets_or_without_its_topic_is_not_taken_for_an_empty_one(
    world: World, keda: Keda
) -> None:
    del world.said.commits[LANE, 0]
    wait_until("it is seen", lambda: "has no offset" in refusal(keda))
    del world.said.spans[LANE, 0]
    wait_until("it is seen", lambda: "does not exist: run `headrace topics apply`" in refusal(keda))


def test_figures_that_grow_old_while_a_look_hangs_are_no_figures(world: World, keda: Keda) -> None:
    watch = world.watch()
    watch.look()
    assert watch.demand(LANE).waiting == 4
    world.now += 31_000
    with pytest.raises(Exception, match="Kafka has not answered for 31 s"):
        watch.demand(LANE)


def test_only_a_client_with_a_certificate_of_the_authority_is_answered(
    world: World, tmp_path: Path
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    with serving(world, **tls(ours)) as address:
        with Keda(address, credentials(ours, ours)) as keda:
            assert keda.jobs(**TRIGGER) == 4
        for stranger in (None, theirs):
            with Keda(address, credentials(ours, stranger)) as keda:
                assert keda.refused(**TRIGGER)[0] is grpc.StatusCode.UNAVAILABLE
        with Keda(address) as keda:
            assert keda.refused(**TRIGGER)[0] is grpc.StatusCode.UNAVAILABLE


def test_renewed_certificates_are_used_without_a_restart(world: World, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    settings = tls(old)
    tls(new)
    with serving(world, **settings) as address:
        with Keda(address, credentials(old, old)) as keda:
            assert keda.jobs(**TRIGGER) == 4
        for file in ("ca.crt", "scaler.crt", "scaler.key"):
            shutil.copy(new.folder / file, old.folder / file)
        with Keda(address, credentials(new, new)) as keda:
            assert keda.jobs(**TRIGGER) == 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scaler_address": "0.0.0.0:6000"}, "HEADRACE_SCALER_PLAINTEXT=true to let whoever"),
        ({"scaler_address": "scaler:6000"}, "HEADRACE_SCALER_ADDRESS=scaler:6000: write an IP"),
        ({"scaler_tls_cert": "tls.crt"}, "set all three, or none"),
        ({"scaler_kubernetes_url": "http://10.0.0.1"}, "the service account's token is sent there"),
        ({"scaler_start_time": "20m"}, "HEADRACE_SCALER_START_TIME"),
        ({"scaler_stale_after": "1s"}, "set it to more than HEADRACE_SCALER_INTERVAL=2s"),
    ],
)
def test_settings_that_would_expose_or_mislead_are_refused(
    given: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        load(ScalerSettings, **given)


def test_beyond_loopback_it_may_listen_with_certificates_or_where_plaintext_is_allowed() -> None:
    load(ScalerSettings, scaler_address="0.0.0.0:6000", scaler_plaintext=True)
    files = dict.fromkeys(("scaler_tls_cert", "scaler_tls_key", "scaler_tls_client_ca"), "file")
    load(ScalerSettings, scaler_address="[::]:6000", **files)


def test_a_taken_port_and_a_missing_certificate_are_named(world: World, tmp_path: Path) -> None:
    watch = world.watch()
    servicer = ScalerServicer(world.pipeline, watch, START_TIME, Metrics(role="test"))
    with serving(world) as address:
        second = ScalerServer(load(ScalerSettings, scaler_address=address), watch, servicer)
        with pytest.raises(SettingsError, match=f"HEADRACE_SCALER_ADDRESS={address}: cannot be"):
            second.run()
    absent = tmp_path / "tls.crt"
    with pytest.raises(SettingsError, match=f"HEADRACE_SCALER_TLS_CERT={absent}: cannot be read"):
        Certificates((absent, absent, absent))


def finish_everything(world: World) -> None:
    world.said.commits[LANE, 0] = CommitPoint(10)


def refusal(keda: Keda) -> str:
    try:
        return keda.refused(**TRIGGER)[1]
    except AssertionError:
        return ""


def tls(authority: Authority) -> dict[str, str]:
    """The settings of a scaler with a certificate of an authority, for clients of the same."""
    authority.made("scaler")
    folder = authority.folder
    return {
        "scaler_tls_cert": str(folder / "scaler.crt"),
        "scaler_tls_key": str(folder / "scaler.key"),
        "scaler_tls_client_ca": str(authority.authority),
    }


def credentials(trusted: Authority, own: Authority | None) -> grpc.ChannelCredentials:
    """Of a client that trusts an authority, with a certificate of another, or without one."""
    root = trusted.authority.read_bytes()
    if own is None:
        return grpc.ssl_channel_credentials(root)
    own.made("keda")
    key, cert = ((own.folder / f"keda.{end}").read_bytes() for end in ("key", "crt"))
    return grpc.ssl_channel_credentials(root, key, cert)
