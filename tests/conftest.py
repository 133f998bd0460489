"""What all tests share: a real Kafka, names of one's own, and threads that may not fail unseen.

The broker is found in this order: the address in HEADRACE_TEST_BOOTSTRAP, a container when a
Docker engine answers, the embedded broker. It is one for the whole session, so a test names its
topics, groups and transactional ids after `unique_name`.
"""

import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.pipeline import broker
from headrace.pipeline.broker import configuration, errors, options, readiness, startup

BOOTSTRAP_VARIABLE = "HEADRACE_TEST_BOOTSTRAP"
KAFKA_IMAGE = "apache/kafka:4.3.1"
DOCKER_SOCKET = Path("/var/run/docker.sock")


def pytest_configure() -> None:
    """Let Ctrl-C be heard by the processes that tests start.

    A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch Kafka before the first test, whose time limit is not meant for a download."""
    wanted = any("kafka" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    if BOOTSTRAP_VARIABLE not in os.environ and not docker_answers():
        try:
            broker.fetch(print)
        except broker.BrokerError as error:
            print(error)  # noqa: T201  (the fixture tries again, and fails or skips with the reason)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a real Kafka 4.3 that lives as long as the session."""
    given = os.environ.get(BOOTSTRAP_VARIABLE)
    if given:
        yield given
    elif docker_answers():
        yield from containerised()
    else:
        yield from embedded(tmp_path_factory.mktemp("kafka"))


def embedded(directory: Path) -> Iterator[str]:
    """The embedded broker in a directory of its own, so that sessions side by side don't meet."""
    try:
        running = broker.running(broker.BrokerOptions(directory=directory))
        address = running.__enter__()
    except (errors.DownloadError, errors.ExtraMissingError, errors.JavaError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Kafka to test on: {error}")
    try:
        yield address.bootstrap
    finally:
        running.__exit__(None, None, None)
        shutil.rmtree(directory, ignore_errors=True)


def containerised() -> Iterator[str]:
    """Apache's own image with the same settings as the embedded broker."""
    from testcontainers.core.container import DockerContainer

    port = startup.choose_ports(None, None).client
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    for name, value in container_environment(port).items():
        container = container.with_env(name, value)
    with container:
        bootstrap = f"{options.HOST}:{port}"
        deadline = time.monotonic() + 90
        while not readiness.serves(bootstrap):
            assert time.monotonic() < deadline, f"{KAFKA_IMAGE} does not serve on {bootstrap}"
        yield bootstrap


def container_environment(port: int) -> dict[str, str]:
    """The broker's settings as Apache's image takes them, reachable on a port of the host."""
    properties = {
        **configuration.behaviour(),
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{options.HOST}:{port}",
        "controller.quorum.voters": f"{configuration.NODE_ID}@localhost:9093",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": text for name, text in properties.items()}


def docker_answers() -> bool:
    """Whether a Docker engine answers. Without a socket or an address nothing is imported."""
    if not DOCKER_SOCKET.exists() and "DOCKER_HOST" not in os.environ:
        return False
    from testcontainers.core.docker_client import DockerClient

    try:
        return bool(DockerClient(timeout=3).client.ping())
    except Exception:  # whatever is wrong with Docker, there is another broker
        return False


@pytest.fixture
def unique_name() -> str:
    """A name no other test has, such as `t3f9a2c81`: lower case, fit for topics and pipelines."""
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic_prefix(unique_name: str) -> str:
    """The same as `unique_name`, for tests that read better with it."""
    return unique_name


@pytest.fixture(autouse=True)
def thread_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fails a test during which a background thread raised.

    A test that expects such an error takes this fixture and clears the list.
    """
    errors: list[str] = []

    def record(raised: threading.ExceptHookArgs) -> None:
        name = raised.thread.name if raised.thread else "a thread"
        errors.append(f"{name}: {raised.exc_type.__name__}: {raised.exc_value}")

    monkeypatch.setattr(threading, "excepthook", record)
    yield errors
    if errors:
        pytest.fail("background threads raised: " + "; ".join(errors))
