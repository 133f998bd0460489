"""Fencing the producers of owners that died: their open transactions end at once.

A worker that is killed inside a transaction leaves it open: committed readers of the delay tiers
and dead letters see nothing behind it until the broker gives it up, ten seconds and more later;
and were its commit underway, it would overwrite the next owner's. `init_transactions` with the
dead owner's transactional id makes the broker end it now, and refuse whatever still comes
(KIP-98, KIP-360).
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

_LOG = structlog.get_logger("headrace.fencing")
_TIMEOUT: Final = 10.0
"""Seconds for one answer of the transaction coordinator."""
_AT_ONCE: Final = 8
"""Owners that are fenced side by side."""
_PAUSE: Final = 0.2
"""Seconds between tries: each makes a client of its own."""
_USELESS: Final = frozenset(
    {
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


class Fencing:
    """Fences dead owners.

    Args:
        make_producer: Makes a producer with a transactional id.
        patience: Seconds in which a coordinator that does not answer is asked again, for all
            of them together; a broker that restarts takes 15.
    """

    def __init__(self, make_producer: Callable[[str], Producer], patience: float = 40.0) -> None:
        self._make_producer = make_producer
        self._patience = patience

    def fence(self, transactional_ids: Iterable[str]) -> None:
        """End whatever these producers left open. Takes about a second, whatever their number.

        One that cannot be fenced is told of: its transaction ends by its timeout.
        """
        ids = sorted(set(transactional_ids))
        if not ids:
            return
        _LOG.info("owners died: their transactions are fenced", transactional_ids=ids)
        deadline = time.monotonic() + self._patience
        with ThreadPoolExecutor(min(len(ids), _AT_ONCE), "headrace-fencing") as pool:
            ended = pool.map(lambda each: self._fence(each, deadline), ids)
            for transactional_id, failure in zip(ids, ended, strict=True):
                if failure:
                    _LOG.warning(
                        "a dead owner could not be fenced: should it have left a transaction "
                        "open, readers wait for its timeout of 10 s; check this worker's rights "
                        "on the transactional id",
                        transactional_id=transactional_id,
                        reason=failure,
                    )

    def _fence(self, transactional_id: str, deadline: float) -> str:
        """Fence one; gives why it could not be."""
        while True:
            try:
                self._make_producer(transactional_id).init_transactions(_TIMEOUT)
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                if cause.code() in _USELESS or cause.fatal() or time.monotonic() > deadline:
                    return str(cause.str())
                time.sleep(_PAUSE)
            else:
                return ""
