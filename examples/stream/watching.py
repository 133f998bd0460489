"""The stream: counts failed payments per customer and minute, and has those warned who fail often.

State: a windowed table, stored by Faust in a topic and read again after a crash. A batch that is read
twice is counted twice, so a customer may be warned early; warned twice nobody is, because the
warning's `dedup_key` names the customer and the minute.
"""

from collections import Counter
from datetime import timedelta
from typing import Any

from examples.stream.jobs import payments, warn
from headrace.processors import PipelineApp, TransitionBatch, faust_app
from headrace.producers import Producer

WINDOW = timedelta(minutes=1)
TOO_MANY = 3


def make_app() -> PipelineApp:
    app = faust_app(payments, "watching")
    failures = app.Table("failures", default=int).tumbling(WINDOW, expires=10 * WINDOW)
    producer = Producer(payments)

    @app.agent(app.transitions_topic())
    async def watch(stream: Any) -> None:
        async for event in stream.events():
            minute = int(event.message.timestamp // WINDOW.total_seconds() * 60_000)
            for customer, more in failed_in(event.value).items():
                failures[customer] += more
                total = failures[customer].value()
                if total >= TOO_MANY:
                    job = warn.job(customer=customer, failures=total, since=minute)
                    producer.submit(job, dedup_key=f"{customer}/{minute}")

    return app


def failed_in(batch: TransitionBatch | None) -> Counter[str]:
    """Sum up a batch first: one update of the table for each customer, not for each job."""
    return Counter(
        told.tenant
        for told in batch or ()
        if told.job_type == "payment.charge" and told.state == "dead" and told.tenant
    )
