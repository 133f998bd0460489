"""One thing that a process runs: a worker, a scheduler, a supervisor."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import structlog

from headrace.schemas.errors import HeadraceError

_LOG = structlog.get_logger("headrace.process")


class Service(Protocol):
    """What can be run as a part."""

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        ...

    def stop(self, *, at_once: bool = False) -> None:
        """Ask it to end; from any thread."""
        ...


_S = TypeVar("_S", bound=Service)


class Part(Generic[_S]):
    """A service on a thread of its own: first what it needs is awaited, then it is made and run.

    Args:
        name: Such as `worker`.
        make: Waits for what the service needs and makes it; None when a stop came meanwhile.
            Given the event that a stop sets.
    """

    def __init__(self, name: str, make: Callable[[threading.Event], _S | None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.exit_code = 0
        self.service: _S | None = None
        self.stopping = threading.Event()
        self._make = make
        self._on_end: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name=f"headrace-{name}", daemon=True)

    def start(self, on_end: Callable[[], None]) -> None:
        """Begin; `on_end` is called from the thread when it ends."""
        self._on_end = on_end
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet.

        A stop ends it at once while its service is not made: whatever its thread still waits
        for, such as an answer of Kafka, cannot make it run any more.
        """
        with self._lock:
            given_up = self.stopping.is_set() and self.service is None
        return self._thread.is_alive() and not given_up

    def stop(self, *, at_once: bool = False) -> None:
        """Ask it to end, made or not."""
        with self._lock:
            self.stopping.set()
            if self.service is not None:
                self.service.stop(at_once=at_once)

    def _live(self) -> None:
        try:
            service = self._make(self.stopping)
            if service is not None and self._take(service):
                self.exit_code = service.run()
                self.error = getattr(service, "failure", None)
        except HeadraceError as error:
            self.error, self.exit_code = error, 1
        except BaseException as error:
            _LOG.exception("a part of this process failed", part=self.name)
            self.error, self.exit_code = error, 1
        finally:
            self._on_end()

    def _take(self, service: _S) -> bool:
        with self._lock:
            if self.stopping.is_set():
                return False
            self.service = service
            return True
