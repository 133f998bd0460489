"""What moved between looks: made of offsets alone, so it must not make anything up."""

from types import MappingProxyType

from headrace.pipeline.group_offsets import Place
from headrace.pipeline.topics import Role
from headrace.processors.lag.observing import Observer, Progress
from headrace.processors.snapshot import CommitPoint, LogSpan, Snapshot

LANE: Place = ("shop.a.high", 0)
SECOND = 1_000


def look(end: int, commit: int | None, *finished: range, start: int = 0) -> Snapshot:
    roles = MappingProxyType({LANE[0]: Role.LANE})
    commits = {} if commit is None else {LANE: CommitPoint(commit, finished)}
    return Snapshot(roles, {LANE: LogSpan(*LANE, start, end)}, commits)


def after(*looks: tuple[int, Snapshot]) -> Progress:
    observer = Observer()
    for seconds, snapshot in looks:
        observer.take(snapshot, seconds * SECOND)
    return observer.of(LANE)


def test_one_look_tells_no_rate() -> None:
    found = after((0, look(10, 5)))
    assert (found.rate_in, found.rate_out, found.moved) == (None, None, None)
    assert found.still_since == 0


def test_rates_are_those_of_the_last_minute() -> None:
    looks = [(at, look(100 + at * 3, at * 2)) for at in range(0, 300, 5)]
    found = after(*looks)
    assert (found.rate_in, found.rate_out, found.grew) == (3.0, 2.0, True)
    assert found.moved == found.still_since == 295 * SECOND


def test_jobs_finished_above_the_commit_point_are_progress() -> None:
    found = after((0, look(10, 2)), (10, look(10, 2, range(4, 9))))
    assert (found.rate_out, found.moved) == (0.5, 10 * SECOND)


def test_what_waits_while_nothing_is_finished_stands_still_since_then() -> None:
    idle, came = (0, look(5, 5)), (100, look(6, 5))
    found = after(idle, came, (130, look(9, 5)))
    assert found.still_since == 100 * SECOND
    assert after(idle, came, (130, look(9, 9))).still_since is None


def test_a_commit_point_that_goes_back_is_told_of_for_five_minutes() -> None:
    back = [(0, look(10, 8)), (10, look(10, 3))]
    found = after(*back)
    assert (found.rewound, found.rate_out) == (10 * SECOND, None)
    assert after(*back, (200, look(10, 5))).rewound == 10 * SECOND
    assert after(*back, (400, look(10, 5))).rewound is None


def test_a_partition_without_an_offset_has_a_rate_in_alone() -> None:
    found = after((0, look(10, None)), (10, look(30, None)))
    assert (found.rate_in, found.rate_out, found.still_since) == (2.0, None, None)


def test_an_observer_goes_on_from_what_another_one_told() -> None:
    observer = Observer()
    observer.restore({LANE: Progress(1.0, 1.0, moved=3, still_since=4, rewound=5)})
    observer.take(look(10, 5), 60 * SECOND)
    assert observer.of(LANE) == Progress(None, None, 3, 4, 5)
