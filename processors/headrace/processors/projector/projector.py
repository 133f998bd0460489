"""The projector's loop: own the edition that serves, read, write, go on.

Several may run: one writes, the others stand by and take over when it is not heard of any more.
Whatever fails is tried again from what the store says was written; Kafka keeps the rest.
"""

import os
import socket
import threading
import time
import uuid
from contextlib import closing, suppress
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Engine

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, StoreSettings
from headrace.processors.errors import NotOwnerError, StoreError, StoreUnavailableError
from headrace.processors.projector.stream import Stream
from headrace.processors.store import editions
from headrace.processors.store.editions import Edition
from headrace.processors.store.engine import open_store
from headrace.processors.store.keeping import AT_ONCE, Retention
from headrace.processors.store.writing import Batch, Writer

_LOG = structlog.get_logger("headrace.projector")
MOST_ROWS: Final = 10_000
"""Rows of one transaction, about."""
_BEAT: Final = 2.0
"""Seconds between signs of life when there is nothing to write."""
_CLEAN: Final = 60.0
"""Seconds between looks for what is too old."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds before something that failed is tried again."""
_STAND_BY: Final = 1.0
"""Seconds between tries to own an edition that another one writes to."""


class Projector:
    """Keeps a pipeline's store up to date until it is stopped.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where Kafka is.
        settings: Where the store is, and how long it keeps jobs.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings, settings: StoreSettings) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._settings = settings
        self._stop = threading.Event()
        self._pause = _FIRST_PAUSE
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.written = 0
        """Rows written since the start."""
        self.last_write = 0.0
        """When the last batch was written, or there was none to write, in monotonic seconds."""

    def stop(self, *, at_once: bool = False) -> None:
        """Ask it to end; from any thread."""
        self._stop.set()

    def run(self) -> int:
        """Work until `stop`; gives the exit code.

        Raises:
            StoreError: The store cannot be used, and it will not pass by itself.
        """
        while not self._stop.is_set():
            try:
                self._serve(open_store(self._settings))
            except NotOwnerError as error:
                _LOG.info("another projector writes now: standing by", why=str(error))
            except (StoreUnavailableError, KafkaUnavailableError) as error:
                _LOG.warning("not now: tried again", why=str(error), seconds=self._pause)
                self._stop.wait(self._pause)
                self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        return 0

    def _serve(self, engine: Engine) -> None:
        try:
            edition = self._own(engine)
            if edition is None:
                return
            writer = Writer(engine, edition, self.owner)
            _LOG.info("projecting", edition=edition.number, owner=self.owner)
            with closing(Stream(self._pipeline, self._kafka, writer.positions())) as stream:
                self._project(stream, writer, self._retention(engine, edition))
            with suppress(StoreError):
                editions.release(engine, edition, self.owner)
        finally:
            engine.dispose()

    def _own(self, engine: Engine) -> Edition | None:
        """Wait until the edition that serves is ours; None when a stop came."""
        told = False
        while not self._stop.is_set():
            edition = editions.ensure(engine, self._pipeline.name)
            if editions.claim(engine, edition, self.owner):
                return edition
            if not told:
                _LOG.info("standing by: another projector writes", owner=edition.owner)
                told = True
            self.last_write = time.monotonic()
            self._stop.wait(_STAND_BY)
        return None

    def _retention(self, engine: Engine, edition: Edition) -> Retention:
        return Retention(
            engine,
            edition,
            self.owner,
            done=self._settings.store_keep_done,
            dead=self._settings.store_keep_dead,
        )

    def _project(self, stream: Stream, writer: Writer, retention: Retention) -> None:
        next_beat = next_clean = 0.0
        while not self._stop.is_set():
            batch = stream.read(MOST_ROWS)
            now = time.monotonic()
            if batch:
                writer.write(batch)
                self._wrote(batch)
                next_beat = now + _BEAT
            elif now >= next_beat:
                writer.beat()
                next_beat = now + _BEAT
            if now >= next_clean:
                left = retention.step(editions.now_ms())
                next_clean = now + (0.0 if left >= AT_ONCE else _CLEAN)
            self.last_write = time.monotonic()

    def _wrote(self, batch: Batch) -> None:
        self.written += batch.rows
        self._pause = _FIRST_PAUSE

    def silent_for(self) -> timedelta:
        """How long it has not written or stood by."""
        return timedelta(seconds=max(0.0, time.monotonic() - self.last_write))
