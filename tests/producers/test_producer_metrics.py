"""A service sees its submissions beside its own metrics."""

from prometheus_client import CollectorRegistry, generate_latest

from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.producers import Producer


def test_acknowledged_jobs_are_counted_by_lane_and_type(kafka: str, unique_name: str) -> None:
    pipeline = Pipeline(
        unique_name, queues=[Queue("default", priorities=("normal",), partitions=1)]
    )

    @pipeline.job("mail.send")
    def send(to: str) -> None: ...

    settings = load(KafkaSettings, bootstrap_servers=kafka)
    topics = load(TopicSettings, delay_partitions=1, events_partitions=1)
    apply_plan(plan_topics(pipeline, settings, topics), settings)
    registry = CollectorRegistry()
    with Producer(pipeline, kafka=settings, metrics=Metrics(registry, role="shop")) as producer:
        producer.submit_many(send.job(to=f"{number}@example.com") for number in range(3))
    shown = generate_latest(registry).decode()
    lane = f"{unique_name}.default.normal"
    assert f'headrace_submitted_total{{job_type="mail.send",lane="{lane}"}} 3.0' in shown
    assert "process_resident_memory_bytes" not in shown, "the service's registry has its own"
