"""The dedup window against any interleaving of submissions, waits, deaths of the owner and time.

One partition with its lane, its tiers and its dedup topic, and one owner at a time that works as a
lane does: it notes, runs, and commits what it has stored. After every step: of two submissions that
ran, the second was not taken up while the first was live or within its window. At the end every
key has run, and no duplicate was dropped but for a submission that ran.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headrace.consumers.dedup.first import Change, Firsts, Verdict, marked
from headrace.consumers.dedup.notes import Note, Span
from headrace.schemas.headers import JobHeaders
from headrace.schemas.states import JobState

WINDOW = 1_000
SPAN = Span.of(timedelta(milliseconds=WINDOW))
KEYS = st.sampled_from("aaab")


@dataclass
class Run:
    """A submission that was taken up."""

    created: int
    taken_up: int
    until: int = 0
    """When it had run to its end; 0 while it is live. It may run once more after a death."""


@dataclass
class Running:
    """A job that the owner has started."""

    offset: int
    job: JobHeaders
    unstored: bool
    outcome: JobState | None = None
    due: int = 0


@dataclass
class Owner:
    firsts: Firsts
    position: int
    unstored: list[tuple[int, Change]] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)


class DedupModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 10_000
        self.lane: list[JobHeaders] = []
        self.done: set[int] = set()
        self.tiers: list[tuple[int, JobHeaders]] = []
        self.topic: dict[str, Note] = {}
        self.runs: dict[str, dict[int, Run]] = {"a": {}, "b": {}}
        self.dropped: list[tuple[str, int]] = []
        self.submitted: set[str] = set()
        self.new_owner()

    def new_owner(self) -> None:
        firsts = Firsts(SPAN, 100)
        firsts.adopt(0, OrderedDict(self.topic))
        begins = next((n for n in range(len(self.lane)) if n not in self.done), len(self.lane))
        self.owner = Owner(firsts, begins)

    # -- rules -----------------------------------------------------------------------------------

    @rule(key=KEYS, delay=st.sampled_from([0, 0, 200, 900, 1_500]))
    def submit(self, key: str, delay: int) -> None:
        self.now += 1  # two of one millisecond are not told apart
        job = JobHeaders(key, "work", "", self.now, "lane", dedup_key=key)
        self.submitted.add(key)
        if delay:
            self.tiers.append((self.now + delay, job._replace(due=self.now + delay)))
        else:
            self.lane.append(job)

    @rule(by=st.sampled_from([1, 50, 400, 1_100]))
    def time_passes(self, by: int) -> None:
        """All keep pace: a lag beyond the grace is what the window does not promise to bridge."""
        if by > SPAN.grace // 4:
            self.record(len(self.owner.unstored))
            self.read(len(self.lane))
        end = self.now + by
        for due, job in sorted(self.tiers, key=lambda each: each[0]):
            if due <= end:
                self.lane.append(job._replace(step=job.step + 1))
        self.tiers = [each for each in self.tiers if each[0] > end]
        self.now = end

    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        """The owner takes the next records."""
        for _ in range(count):
            while self.owner.position in self.done:
                self.owner.position += 1
            if self.owner.position < len(self.lane):
                self.owner.position += 1
                self.judge(self.owner.position - 1)

    def judge(self, offset: int) -> None:
        owner, job = self.owner, self.lane[offset]
        verdict = owner.firsts.judge(0, offset, job, self.now)
        if verdict is Verdict.DUPLICATE:
            self.dropped.append((job.job_id, job.created))
            self.done.add(offset)
            return
        if verdict is Verdict.FIRST:
            owner.unstored.append((offset, owner.firsts.note(0, job)))
        owner.running.append(Running(offset, marked(job), unstored=verdict is Verdict.FIRST))
        self.runs[job.job_id].setdefault(job.created, Run(job.created, self.now))

    @rule(which=st.integers(0, 5), wait=st.sampled_from([0, 10, 800, 2_500]))
    def end(self, which: int, wait: int) -> None:
        """A job has run: it is done, or comes back after a while."""
        owner, fails = self.owner, wait > 0
        going = [each for each in owner.running if each.outcome is None]
        if not going:
            return
        running = going[which % len(going)]
        running.outcome = JobState.RETRYING if fails else JobState.SUCCEEDED
        running.due = self.now + wait if fails else 0
        run = self.runs[running.job.job_id][running.job.created]
        run.until = run.until if fails else run.until or self.now
        state = running.outcome.value
        change = owner.firsts.ended(0, running.job, state, running.due, self.now)
        if change is not None:
            owner.unstored.append((running.offset, change))

    @rule(count=st.integers(0, 5))
    def record(self, count: int) -> None:
        """The broker stores some notes, and outcomes whose notes are stored are recorded."""
        for _ in range(min(count, len(self.owner.unstored))):
            _, (name, note) = self.owner.unstored.pop(0)
            self.topic.pop(name, None)
            if note is not None:
                self.topic[name] = note

        self.commit()

    def commit(self) -> None:
        owner = self.owner
        waiting = {offset for offset, _ in owner.unstored}
        for running in [r for r in owner.running if r.outcome and r.offset not in waiting]:
            owner.running.remove(running)
            self.done.add(running.offset)
            owner.firsts.left(0, running.offset, running.job, self.now)
            job = running.job
            if running.due:
                following = job.next_step(due=running.due, attempt=job.attempt + 1)
                self.tiers.append((max(running.due, self.now), following))

    @rule()
    def die(self) -> None:
        """The owner dies with all that it had not stored; another takes over."""
        self.new_owner()

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def nobody_runs_within_the_window_of_another(self) -> None:
        for runs in self.runs.values():
            taken_up = sorted(runs.values(), key=lambda run: run.taken_up)
            for first, second in pairwise(taken_up):
                assert second.taken_up >= first.taken_up + WINDOW
                assert first.until, "it is still live"
                assert second.taken_up >= first.until

    def teardown(self) -> None:
        for _ in range(200):
            self.read(5)
            self.end(0, 0)
            self.record(5)
            if not self.tiers and len(self.done) == len(self.lane):
                break
            self.time_passes(100)
        assert len(self.done) == len(self.lane), "everything comes to its end"
        for key in self.submitted:
            assert self.runs[key], "a key that was submitted has run"
        for key, created in self.dropped:
            assert any(run.created != created for run in self.runs[key].values())


DedupModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestDedupModel = DedupModel.TestCase
