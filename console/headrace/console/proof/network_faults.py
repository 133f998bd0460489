"""Faults between workers and broker: real connections, cut, frozen or slow; and the broker's death."""

import time
from datetime import timedelta

from headrace.console.proof.fault import BACK, Fault
from headrace.console.proof.records import Kind


class BrokerKill(Fault):
    """SIGKILL of the broker, and its start on the same data."""

    kind = Kind.BROKER_KILL

    def prepare(self) -> None:
        """Keep others from asking the broker until it is back."""
        self.snapshot()
        workers = self.scene.crew.running()
        self.seen.workers = tuple(each.pid for each in workers)
        self.seen.in_flight = sum(self.scene.sightings.in_flight(each.pid) for each in workers)

    def strike(self) -> None:
        """Kill it, let it be away for a while, and start it again."""
        away = 4 * self.chance.random()
        with self.scene.broker:
            began = time.monotonic()
            self.scene.cluster.kill()
            try:
                self.scene.wait(away)
            finally:
                self.scene.cluster.restart()
        self._back = self.seen.ended_ns = time.time_ns()
        self.seen.note = f"away for {time.monotonic() - began:.1f} s"

    def recover(self) -> None:
        """Wait until jobs are begun again."""
        workers = self.scene.crew.running()
        begins = self.scene.sightings.has_started
        self.scene.until(lambda: any(begins(w.pid, self._back) for w in workers), BACK)


class NetworkCut(Fault):
    """One worker loses the broker: connections closed, or open and dead."""

    kind = Kind.NETWORK_CUT

    def prepare(self) -> None:
        """Choose a worker, and how it is cut off."""
        self._victim = self.take_worker()
        self._places = self.scene.owned_by(self._victim)
        self._frozen = self.chance.random() < 0.5
        long = self.alone or self.chance.random() < 0.5
        self._long = long and self.chance.random() < 0.7
        self.seen.workers = (self._victim.pid,)

    def strike(self) -> None:
        """Cut it off; what is committed now is all that it has committed."""
        proxy = self.scene.cluster.proxy(self._victim.slot)
        proxy.freeze() if self._frozen else proxy.cut()
        self._since = time.time_ns()
        self.seen.in_flight = self.scene.sightings.in_flight(self._victim.pid)

    def recover(self) -> None:
        """Wait longer than the session timeout, or not, and connect it again."""
        try:
            self.snapshot()
            if self._long:
                self.measure(self._places, self._since, self._victim)
            self.scene.wait(self._length() - (time.time_ns() - self._since) / 1e9)
        finally:
            self.scene.cluster.proxy(self._victim.slot).heal()
            healed = time.time_ns()
            self.scene.release(self._victim)
        how = "frozen" if self._frozen else "closed"
        self.seen.note = f"{how} for {(healed - self._since) / 1e9:.1f} s"
        self.scene.until(lambda: self._works_again(healed), BACK)
        self.seen.ended_ns = time.time_ns()

    def _length(self) -> float:
        if self._long:
            return self.scene.session.total_seconds() + 1 + 2 * self.chance.random()
        return 1 + 3 * self.chance.random()

    def _works_again(self, since_ns: int) -> bool:
        return not self._victim.alive or self.scene.sightings.has_started(
            self._victim.pid, since_ns + 100_000_000
        )


class NetworkSlow(Fault):
    """One worker's network is slow: each packet late, and few bytes a second."""

    kind = Kind.NETWORK_SLOW

    def prepare(self) -> None:
        """Choose a worker."""
        self._victim = self.take_worker()
        self.seen.workers = (self._victim.pid,)
        self.seen.in_flight = self.scene.sightings.in_flight(self._victim.pid)
        self.snapshot()

    def strike(self) -> None:
        """Slow it down."""
        delay = timedelta(milliseconds=self.chance.randint(40, 300))
        rate = self.chance.choice((32_000, 64_000, 256_000))
        self.scene.cluster.proxy(self._victim.slot).slow(delay, rate)
        self.seen.note = f"{delay.total_seconds() * 1000:.0f} ms each way, {rate:,} bytes/s"

    def recover(self) -> None:
        """Let it be slow for a while."""
        try:
            self.scene.wait(4 + 4 * self.chance.random())
        finally:
            self.scene.cluster.proxy(self._victim.slot).heal()
            self.seen.ended_ns = time.time_ns()
            self.scene.release(self._victim)
