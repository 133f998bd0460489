"""The scaler as it is run: one thread looks at Kafka, one event loop answers KEDA."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import ScalerSettings
from headrace.processors.scaler.certificates import Certificates
from headrace.processors.scaler.servicing import SERVICE, ScalerServicer
from headrace.processors.scaler.watching import BacklogWatch

_LOG: Final = structlog.get_logger("headrace.scaler")
_OPTIONS: Final = (
    # Else a second process would share the port, and KEDA would ask now one, now the other
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 65_536),
    # A stream of a KEDA that vanished would else stay for good
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_MOST_CALLS: Final = 2_000
"""At a time, streams included."""
_GRACE: Final = 2.0
"""Seconds that streams have to end in order."""
_HEALTH: Final = 1.0
"""Seconds between two words about health."""


class ScalerServer:
    """Looks and answers until `stop`.

    Args:
        settings: Where it listens, and with which certificates.
        watch: Looks at Kafka; run by this.
        servicer: Answers KEDA.

    Raises:
        SettingsError: A certificate cannot be read; from `run`: the port is taken.
    """

    def __init__(
        self, settings: ScalerSettings, watch: BacklogWatch, servicer: ScalerServicer
    ) -> None:
        self._address = settings.scaler_address
        self._certificates = Certificates.of(settings)
        self._watch = watch
        self._servicer = servicer
        self._stopping = threading.Event()
        self._wake: Callable[[], object] = lambda: None
        self.port: int | None = None
        """Where it listens, once it does."""

    def run(self) -> int:
        """Work until `stop`; gives the exit code: 1 when looking ended by itself, which is a fault."""
        looking = threading.Thread(target=self._watch.run, name="headrace-scaler-watch")
        looking.start()
        try:
            asyncio.run(self._serve(looking))
        finally:
            self._watch.stop()
            looking.join()
        return 0 if self._stopping.is_set() else 1

    def stop(self, *, at_once: bool = False) -> None:
        """End; from any thread. A look at Kafka that goes on is waited for."""
        self._stopping.set()
        with suppress(RuntimeError):  # the loop has ended by itself
            self._wake()

    async def _serve(self, looking: threading.Thread) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(stop.set)
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS)
        server.add_generic_rpc_handlers((self._servicer.handler(),))
        told: Any = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]
        health_pb2_grpc.add_HealthServicer_to_server(told, server)
        self.port = self._listen(server)
        await server.start()
        secured = self._certificates is not None
        _LOG.info("the scaler listens", address=self._address, port=self.port, tls=secured)
        while not (self._stopping.is_set() or stop.is_set()) and looking.is_alive():
            await self._tell_health(told)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _HEALTH)
        self._servicer.end_streams()
        await told.enter_graceful_shutdown()
        await server.stop(_GRACE)

    async def _tell_health(self, told: Any) -> None:
        kinds = health_pb2.HealthCheckResponse
        status = kinds.NOT_SERVING if self._watch.trouble else kinds.SERVING
        for service in ("", SERVICE):
            await told.set(service, status)

    def _listen(self, server: grpc.aio.Server) -> int:
        certificates = self._certificates
        try:
            if certificates is None:
                return server.add_insecure_port(self._address)
            return server.add_secure_port(self._address, certificates.credentials())
        except RuntimeError as error:
            raise SettingsError(
                f"HEADRACE_SCALER_ADDRESS={self._address}: cannot be listened on: the port is taken, or "
                "the address is not this machine's; choose another"
            ) from error
