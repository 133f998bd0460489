"""A TCP proxy on the loopback interface that can cut, freeze, delay and throttle what it forwards.

It runs an event loop in a thread of its own; its methods are called from any other thread.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

from headrace.pipeline.broker.options import HOST

_CHUNK: Final = 16_384
_HELD: Final = 64
"""Chunks of one direction in memory before the sender is no longer read: 1 MiB."""
_REFUSAL: Final = 0.25
"""Seconds before a connection that leads nowhere is closed."""
_CALL_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network is like at present.

    Attributes:
        refuses: Connections are closed as soon as they are made.
        frozen: Connections stay open and nothing passes, as behind a dead switch.
        delay: Each chunk arrives so much later, in each direction.
        bytes_per_second: Of each connection and direction; None for as fast as it goes.
    """

    refuses: bool = False
    frozen: bool = False
    delay: timedelta = timedelta()
    bytes_per_second: int | None = None


CLEAR: Final = Weather()


class Proxy:
    """Forwards connections to one port of this machine.

    Args:
        upstream: The port that connections are forwarded to; it may come and go.
        port: Where to listen; any free one when 0.

    Raises:
        OSError: The port is taken (from `start`).
    """

    def __init__(self, upstream: int, port: int = 0) -> None:
        self.upstream = upstream
        self.port = port
        self._weather = CLEAR
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proof-proxy")
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._changed = asyncio.Event()

    def start(self) -> Self:
        """Listen."""
        self._thread.start()
        try:
            server: asyncio.Server = self._call(asyncio.start_server(self._serve, HOST, self.port))
        except BaseException:
            self._end_loop()
            raise
        self._server = server
        self.port = server.sockets[0].getsockname()[1]
        return self

    def set(self, weather: Weather) -> None:
        """Change the weather; connections that are open live through it, unless it refuses them."""
        self._call(self._set(weather))

    def cut(self) -> None:
        """Close every connection and refuse new ones until `heal`."""
        self.set(Weather(refuses=True))

    def freeze(self) -> None:
        """Let nothing pass until `heal`; what is on its way arrives then."""
        self.set(Weather(frozen=True))

    def slow(self, delay: timedelta, bytes_per_second: int) -> None:
        """Delay and throttle until `heal`."""
        self.set(Weather(delay=delay, bytes_per_second=bytes_per_second))

    def heal(self) -> None:
        """Forward as fast as it goes."""
        self.set(CLEAR)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def close(self) -> None:
        """Close every connection and stop listening. Safe to call twice."""
        if not self._thread.is_alive():
            return
        try:
            self._call(self._close())
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT)

    # -- in the loop -------------------------------------------------------------------------------

    async def _set(self, weather: Weather) -> None:
        self._weather = weather
        if weather.refuses:
            await self._drop()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _drop(self) -> None:
        await asyncio.gather(*(connection.end() for connection in list(self._connections)))

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._drop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, asyncio.current_task())
        self._connections.add(connection)
        try:
            if self._weather.refuses or not await connection.run(reader, writer):
                # Closed at once, it would be tried again at once: to a client that connects at
                # all, the network looks well.
                await asyncio.sleep(_REFUSAL)
        except asyncio.CancelledError:
            pass  # `end` did it; asyncio logs a connection's task that ends so
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def pass_on(self, arrived: float, size: int) -> None:
        """Wait as long as a chunk takes that came at `arrived` (`time.monotonic`)."""
        await self._thaw()
        weather = self._weather
        wait = arrived + weather.delay.total_seconds() - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        if weather.bytes_per_second:
            await asyncio.sleep(size / weather.bytes_per_second)
        await self._thaw()

    async def _thaw(self) -> None:
        while self._weather.frozen:
            await self._changed.wait()


class _Connection:
    """One forwarded connection: two directions, each with a queue so that delay costs no rate."""

    def __init__(self, proxy: Proxy, task: "asyncio.Task[None] | None") -> None:
        self._proxy = proxy
        self._task = task

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Forward until either side ends; False when nobody listens there now."""
        try:
            there, back = await asyncio.open_connection(HOST, self._proxy.upstream)
        except OSError:
            return False
        ways = [
            asyncio.ensure_future(each)
            for each in (self._forward(reader, back), self._forward(there, writer))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back.transport.abort()
        return True

    async def end(self) -> None:
        """Close it now."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._task])

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD)
        writing = asyncio.ensure_future(self._write(held, writer))
        try:
            while chunk := await reader.read(_CHUNK):
                await held.put((time.monotonic(), chunk))
            await held.put((time.monotonic(), b""))
            await writing
        except OSError:
            return  # reset by either side: `run` ends both
        finally:
            writing.cancel()

    async def _write(
        self, held: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        while True:
            arrived, chunk = await held.get()
            await self._proxy.pass_on(arrived, len(chunk))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
