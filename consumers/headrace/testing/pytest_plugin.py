"""Fixtures for tests on a real Kafka.

Switch them on in `conftest.py`:

    pytest_plugins = ["headrace.testing.pytest_plugin"]
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from headrace.pipeline import broker
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, load
from headrace.testing.recording import RecordingProducer
from headrace.testing.running import RunningPipeline, running

BOOTSTRAP: Final = "HEADRACE_TEST_BOOTSTRAP"
"""The environment variable that names a Kafka to test on, instead of the embedded one."""

RunPipeline = Callable[..., RunningPipeline]
"""`headrace_run(pipeline, **options)`; the options are those of `headrace.testing.running`."""
RecordPipeline = Callable[[Pipeline], RecordingProducer]


@pytest.fixture(scope="session")
def headrace_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A Kafka for the session: the one of HEADRACE_TEST_BOOTSTRAP, else an embedded broker.

    The embedded broker (extra `kafka`) keeps its data in a directory of this session alone.

    Raises:
        BrokerError: The embedded broker cannot start; the message says what to do.
    """
    given = os.environ.get(BOOTSTRAP)
    if given:
        yield load(KafkaSettings, bootstrap_servers=given)
        return
    options = broker.BrokerOptions(directory=tmp_path_factory.mktemp("headrace-kafka"))
    with broker.running(options) as address:
        yield load(KafkaSettings, bootstrap_servers=address.bootstrap)


@pytest.fixture
def headrace_run(headrace_kafka: KafkaSettings) -> Iterator[RunPipeline]:
    """Run pipelines until the test ends: topics made, a worker and a scheduler in threads."""
    with ExitStack() as stack:

        def run(pipeline: Pipeline, **options: Any) -> RunningPipeline:
            return stack.enter_context(running(pipeline, headrace_kafka, **options))

        yield run


@pytest.fixture
def headrace_recorder() -> RecordPipeline:
    """Make producers that send nothing: `headrace_recorder(pipeline)`."""
    return RecordingProducer
