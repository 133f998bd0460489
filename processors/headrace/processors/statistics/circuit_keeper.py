"""Opening and closing circuits: reads what all processes published, and writes to the control topic."""

from typing import Final

import structlog

from headrace.consumers.seldom import Seldom
from headrace.pipeline.circuits import circuit_record, circuits_in
from headrace.pipeline.compacted import read_latest, write_all
from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.statistics.breaker import Bucket, judge
from headrace.processors.statistics.reading import statistics_of

INTERVAL: Final = 2_000
"""Milliseconds between two looks, at least."""
_LOG = structlog.get_logger("headrace.circuits")


class CircuitKeeper:
    """Judges the circuits of a pipeline. One process does: the owner of partition 0.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        policies = {name: each.policy.circuit for name, each in pipeline.job_types.items()}
        self._policies = {name: policy for name, policy in policies.items() if policy is not None}
        self._pipeline = pipeline
        self._kafka = kafka
        self._next = 0
        self._troubles = Seldom(_LOG)

    def step(self, now: int) -> None:
        """Open and close what is due (epoch ms); does nothing where no job type has a circuit."""
        if not self._policies or now < self._next:
            return
        self._next = now + INTERVAL
        try:
            self._judge(now)
        except (KafkaUnavailableError, TopicError) as error:
            self._troubles.warn("circuits cannot be judged now", reason=str(error))

    def _judge(self, now: int) -> None:
        topology = self._pipeline.topology
        records = read_latest(self._kafka, [topology.stats, topology.control])
        found = statistics_of(self._pipeline, records[topology.stats])
        if not found.is_fresh(now):
            return
        circuits = circuits_in(records[topology.control])
        changed = []
        for job_type, policy in self._policies.items():
            recent = found.total(job_type=job_type).recent
            buckets = [Bucket(start, *recent[start]) for start in sorted(recent)]
            circuit = judge(job_type, policy, buckets, circuits.get(job_type), now)
            if circuit is not None:
                changed.append(circuit)
        write_all(self._kafka, [circuit_record(topology, circuit) for circuit in changed])
        for circuit in changed:
            state = circuit.state(now)
            _LOG.warning(
                "a circuit changed", job_type=circuit.job_type, state=state, why=circuit.reason
            )
