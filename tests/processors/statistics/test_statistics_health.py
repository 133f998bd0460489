"""What the statistics say to who asks whether they live."""

from headrace.pipeline.telemetry.health import CheckKind, Health
from headrace.processors.statistics.health import StatisticsHealth


class Agent:
    """Counts, or not."""

    ready = False


def test_one_that_waits_for_its_partitions_lives_and_is_not_ready() -> None:
    agent, health = Agent(), Health()
    StatisticsHealth(agent, clock=lambda: 0.0).register(health)
    assert health.report(CheckKind.LIVE).ok
    assert not health.report(CheckKind.READY).ok
    agent.ready = True
    assert health.report(CheckKind.READY).ok


def test_one_whose_loop_does_not_turn_any_more_is_to_be_restarted() -> None:
    now, health = [0.0], Health()
    watched = StatisticsHealth(Agent(), clock=lambda: now[0])
    watched.register(health)
    now[0] = 29.0
    watched.turned()
    now[0] = 58.0
    assert health.report(CheckKind.LIVE).ok
    now[0] = 60.0
    [(_, found)] = health.report(CheckKind.LIVE).checks
    assert not found.ok
    assert found.detail == "its loop has not turned for 31 s"
