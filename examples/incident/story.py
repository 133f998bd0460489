"""The story, step by step."""

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from examples.incident import account
from examples.incident.account import Account, read_account
from examples.incident.crew import Crew
from examples.incident.jobs import BAD, FIXED, incident, print_label, send_invoice
from examples.incident.options import PARTS, Options, StoryError
from examples.source_audit.display import Display
from headrace.pipeline import broker, settings
from headrace.pipeline.settings import KafkaSettings, TopicSettings
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.processors.repair.replay_errors import NoReplayError
from headrace.processors.repair.replays import Replays
from headrace.producers import Producer

COUNTRIES: Final = ("DE", "FR", "NL")
PATIENCE: Final = 240.0
"""Seconds for what should take some seconds: machines are busy at times."""


def tell(options: Options, display: Display) -> Account:
    """Tell the story, and give the account at its end.

    Raises:
        HeadraceError: It did not go as it should.
    """
    with _kafka(options, display) as bootstrap, tempfile.TemporaryDirectory() as folder:
        kafka = settings.load(KafkaSettings, bootstrap_servers=bootstrap)
        story = Story(options, kafka, Crew(bootstrap, Path(folder), display), display)
        return story.tell()


class Story:
    """One run, whose jobs have a tenant of their own."""

    def __init__(
        self, options: Options, kafka: KafkaSettings, crew: Crew, display: Display
    ) -> None:
        self._options = options
        self._kafka = kafka
        self._crew = crew
        self._display = display
        self.run = f"run-{secrets.token_hex(4)}"
        self._replay = f"vat-table-{self.run}"

    def tell(self) -> Account:
        """Tell it."""
        self._break()
        with self._crew.worker(FIXED):
            self._try_dry()
            self._replay_and_kill()
            self._resume_and_follow()
            self._edit_one()
        self._discard_the_rest()
        return read_account(self._kafka, self.run, self._crew.effects)

    def _break(self) -> None:
        count = self._options.jobs
        self._display.note(f"Release {BAD} goes out, and {count:,} jobs come in.", "bold cyan")
        plan = plan_topics(incident, self._kafka, settings.load(TopicSettings))
        apply_plan(plan, self._kafka)
        self._submit()
        with self._crew.worker(BAD):
            self._await(
                "every job is dead", lambda: account.count_dead(self._kafka, self.run) >= count
            )
        self._crew.headrace("dlq", "stats", "--tenant", self.run)

    def _submit(self) -> None:
        with Producer(incident, kafka=self._kafka) as producer:
            for order in range(self._options.jobs):
                part, country = order % PARTS, COUNTRIES[order % len(COUNTRIES)]
                if part < 5:
                    job = send_invoice.job(order, country, f"customer-{order}@example.com")
                    producer.submit(job, tenant=self.run)
                elif part < 6:
                    producer.submit(send_invoice.job(order, country, ""), tenant=self.run)
                else:
                    producer.submit(print_label.job(order, "express"), tenant=self.run)

    def _try_dry(self) -> None:
        self._display.note(f"Release {FIXED} fills the table. What would run now?", "bold cyan")
        out = self._crew.headrace(*self._replay_words(), "--dry-run", "--json")
        found = json.loads(out)
        self._expect("letters that would run", found["would_run"], self._options.jobs // 2)
        self._expect("letters that would be refused", found["would_be_refused"], 0)

    def _replay_and_kill(self) -> None:
        self._display.note("Half of the letters go back, and the replay is killed.", "bold cyan")
        process = self._crew.begin(*self._replay_words(), "--name", self._replay)
        try:
            some = self._options.jobs // 10
            self._await("a part is replayed", lambda: self._replayed() >= some)
        finally:
            process.kill()
            process.wait()
        self._display.note(f"  kill -9 {process.pid}", "bold red")
        done = self._replayed()
        if done >= self._options.jobs // 2:
            raise StoryError(f"the kill came too late: all {done:,} were replayed; lower --rate")
        self._crew.headrace("dlq", "replay", "list")

    def _resume_and_follow(self) -> None:
        self._display.note("It goes on, and is followed to the end.", "bold cyan")
        self._crew.headrace("dlq", "replay", "--resume", self._replay)
        self._crew.headrace("dlq", "replay", "status", self._replay, "--follow")

    def _edit_one(self) -> None:
        self._display.note("One customer has called: the address is known.", "bold cyan")
        job_id = account.job_with(self._kafka, self.run, "ValueError")
        change = 'email="ada@example.com"'
        out = self._crew.headrace(
            "dlq", "edit", job_id, "--set", change, "--why", "she called", "--yes", "--json"
        )
        new_job = _new_job(json.loads(out))
        self._await(
            "the edited job has succeeded",
            lambda: account.state_of(self._kafka, self.run, new_job) == "succeeded",
        )

    def _discard_the_rest(self) -> None:
        self._display.note("Nothing can be done about the others.", "bold cyan")
        words = ("--tenant", self.run, "--why", "shipped by hand", "--yes")
        self._crew.headrace("dlq", "discard", *words)
        self._crew.headrace("dlq", "list", "--tenant", self.run, codes=(1,))
        self._crew.headrace("audit")

    def _replay_words(self) -> tuple[str, ...]:
        rate = f"{self._options.rate}/s"
        where = ("--tenant", self.run, "--error", "KeyError")
        return ("dlq", "replay", *where, "--rate", rate, "--why", f"fixed in {FIXED}")

    def _replayed(self) -> int:
        try:
            return Replays(incident, self._kafka).find(self._replay).progress.replayed
        except NoReplayError:
            return 0

    def _await(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise StoryError(f"waited {PATIENCE:g} s and it is not so: {what}")
            time.sleep(0.1)

    def _expect(self, what: str, found: int, wanted: int) -> None:
        if found != wanted:
            raise StoryError(f"{what}: {found:,}, expected {wanted:,}")


@contextmanager
def _kafka(options: Options, display: Display) -> Iterator[str]:
    """Give the address of the Kafka that was named, or of one that lives as long as the story."""
    if options.bootstrap is not None:
        yield options.bootstrap
        return
    with tempfile.TemporaryDirectory() as directory:
        display.note("Starting a Kafka of its own", "dim")
        with broker.running(broker.BrokerOptions(directory=Path(directory))) as address:
            yield address.bootstrap


def _new_job(edited: dict[str, str]) -> str:
    return edited["new_job_id"]
