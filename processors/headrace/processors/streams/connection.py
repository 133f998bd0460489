"""How Faust reaches Kafka: as the settings say, and without seeing what was never committed."""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from headrace.pipeline.kafka import bootstrap
from headrace.pipeline.settings import KafkaSettings


def broker_urls(settings: KafkaSettings) -> list[str]:
    """Give the brokers as Faust names them.

    Raises:
        SettingsError: No broker is set, and no embedded one runs here.
    """
    return [f"kafka://{address.strip()}" for address in bootstrap(settings).split(",")]


def credentials(settings: KafkaSettings) -> Any:
    """Give what Faust identifies itself with; None on a plain connection.

    Raises:
        OSError: A certificate or password file cannot be read.
    """
    context = _tls(settings) if settings.security_protocol.endswith("ssl") else None
    if settings.security_protocol.startswith("sasl"):
        return SASLCredentials(
            username=settings.sasl_username,
            password=_password(settings),
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    return None if context is None else SSLCredentials(context)


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    authority = settings.ssl_ca_location
    context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    if settings.ssl_certificate_location is not None:
        key = settings.ssl_key_location
        context.load_cert_chain(settings.ssl_certificate_location, key)
    return context


def _password(settings: KafkaSettings) -> str | None:
    if settings.sasl_password is not None:
        return settings.sasl_password.get_secret_value()
    file = settings.sasl_password_file
    return None if file is None else file.read_text().strip()


class CommittedTransport(driver.Transport):
    """Kafka, as Faust reads it, without records of transactions that were aborted.

    Hand-overs write their transitions in transactions. Faust reads committed records only if it
    writes transactions itself, which it is not asked to: they have a history of hangs.
    """

    class Consumer(driver.Consumer):
        """Makes its thread of the class below."""

        def _new_consumer_thread(self) -> Any:
            return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

        async def perform_seek(self) -> None:
            """Go back to what is committed, with nothing on its way to a stream meanwhile.

            Faust 0.15.3 goes back after a rebalance while records flow, and empties the streams'
            queues once more after that. What came in between was in no stream, and was dropped as
            known when it came again. It lets records flow again right after this.
            """
            if self.flow_active:
                self.stop_flow()
                await self.wait_for_stopped_flow()
            await super().perform_seek()


class _CommittedThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - read when it starts
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to what is committed, also to offset 0.

        aiokafka 0.14 leaves a partition where it is when 0 or nothing is committed. What its
        fetcher has passed by then, while Faust was reading tables, would be in no stream.
        """
        found = await super().seek_to_committed()
        tables = self.app.tables.changelog_topics
        await self.call_thread(
            self._begin, [tp for tp, at in found.items() if not at and tp.topic not in tables]
        )
        return found

    async def _begin(self, places: Iterable[TP]) -> None:
        for place in places:
            self._ensure_consumer().seek(place, 0)
