"""All systems that are compared."""

from dataclasses import replace

from benchmarks.field.contract import ServiceKind, System
from benchmarks.field.headrace_system import BARE, HEADRACE
from benchmarks.field.kafka_peers import FASTSTREAM, FAUST, QUIX, TASKIQ_KAFKA
from benchmarks.field.peers import Peer
from benchmarks.field.redis_peers import ARQ, CELERY, DRAMATIQ, HUEY, PROCRASTINATE, RQ, TASKIQ


def _in_memory(peer: Peer) -> Peer:
    return replace(
        peer,
        name=f"{peer.name}-memory",
        title=f"{peer.title}, no persistence",
        service=ServiceKind.REDIS_MEMORY,
        durability=f"{peer.durability}; Redis keeps nothing on disk",
    )


_ON_REDIS = (CELERY, DRAMATIQ, HUEY, RQ, ARQ, TASKIQ)
SYSTEMS: tuple[System, ...] = (
    HEADRACE,
    BARE,
    *_ON_REDIS,
    PROCRASTINATE,
    FASTSTREAM,
    FAUST,
    QUIX,
    TASKIQ_KAFKA,
    *(_in_memory(peer) for peer in _ON_REDIS),
)
