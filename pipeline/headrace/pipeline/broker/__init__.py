"""A real Apache Kafka for development, tests and demos, on a machine that has none.

One node (KRaft) in the background on a loopback port, its state under `.headrace`:

    address = broker.start(broker.BrokerOptions(progress=print))
    address.bootstrap        # '127.0.0.1:40123'
    broker.status().state    # BrokerState.RUNNING
    broker.stop()

Needs the extra `kafka`, or a Java of one's own and the jars already in the cache.
"""

from headrace.pipeline.broker.errors import BrokerError
from headrace.pipeline.broker.lifecycle import fetch, running, start, status, stop
from headrace.pipeline.broker.options import (
    DEFAULT_DIRECTORY,
    BrokerAddress,
    BrokerOptions,
    BrokerState,
    BrokerStatus,
    Proxied,
)
from headrace.pipeline.broker.security import BrokerSecurity, Proof

__all__ = [
    "DEFAULT_DIRECTORY",
    "BrokerAddress",
    "BrokerError",
    "BrokerOptions",
    "BrokerSecurity",
    "BrokerState",
    "BrokerStatus",
    "Proof",
    "Proxied",
    "fetch",
    "running",
    "start",
    "status",
    "stop",
]
