"""The example of stateful stream processing, as its README runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from examples.stream.jobs import charge, payments
from headrace.pipeline.settings import KafkaSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.producers import Producer
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch
from tests.support.stage import ROOT, SMALL, read_all, wait_until

pytestmark = pytest.mark.kafka
REFERENCE = "examples.stream.jobs:payments"


@contextmanager
def running(kafka: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "HEADRACE_BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_STATS_DIR": str(folder / "streams"),
        "HEADRACE_EVENTS_PARTITIONS": str(SMALL.events_partitions),
        "HEADRACE_HTTP_ENABLED": "false",
    }
    with (folder / f"{words[0]}.log").open("wb") as log:
        command = [sys.executable, "-m", *words]
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
        )
    try:
        yield process
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def warned(kafka: KafkaSettings) -> list[Transition]:
    found = [
        told
        for message in read_all(kafka, payments.topology.events)
        for told in decode_batch(message.value() or b"")
    ]
    return [told for told in found if told.job_type == "customer.warn"]


def test_who_fails_often_within_a_minute_is_warned_and_nobody_else(
    kafka: str, tmp_path: Path
) -> None:
    settings = load(KafkaSettings, bootstrap_servers=kafka)
    assert apply_plan(plan_topics(payments, settings, SMALL), settings).ok
    with ExitStack() as stack:
        stack.enter_context(running(kafka, tmp_path, "headrace", "worker", REFERENCE))
        stack.enter_context(running(kafka, tmp_path, "examples.stream"))
        with Producer(payments, kafka=settings) as producer:
            for _ in range(6):  # three of six lie in one minute, wherever the minute ends
                producer.submit(charge.job(customer="eve", cents=900_000), tenant="eve")
                producer.submit(charge.job(customer="ada", cents=900), tenant="ada")
            producer.submit(charge.job(customer="bob", cents=900_000), tenant="bob")
        done = wait_until(
            "eve is warned",
            lambda: [each for each in warned(settings) if each.state == JobState.SUCCEEDED],
        )
    assert 1 <= len(done) <= 2
    texts = [(each.result or b"").decode(errors="replace") for each in done]
    assert all("eve: " in text for text in texts), json.dumps(texts)
