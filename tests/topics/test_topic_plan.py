"""Planning is pure: these tests make clusters up. What Kafka does with plans is tested beside."""

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from headrace.pipeline import Pipeline, Queue, SettingsError
from headrace.pipeline.schema_topic import PublishedSchema
from headrace.pipeline.settings import TopicSettings, load
from headrace.pipeline.topics import Action, TopicPlan, starting_offset_allowed, wanted
from headrace.pipeline.topics.compare import compare
from headrace.pipeline.topics.offsets import listed
from headrace.pipeline.topics.state import ClusterState, Span, TopicState
from headrace.pipeline.topics.wanted import Role

LANE = "shop.mail.high"


def pipeline(partitions: int = 4, priorities: tuple[str, ...] = ("high",)) -> Pipeline:
    return Pipeline("shop", queues=[Queue("mail", priorities=priorities, partitions=partitions)])


def settings(**overrides: Any) -> TopicSettings:
    return load(TopicSettings, **overrides)


def plan_for(
    state: ClusterState,
    declared: Pipeline | None = None,
    given: TopicSettings | None = None,
    **how: Any,
) -> TopicPlan:
    chosen = declared or pipeline()
    wishes = wanted(chosen, given or settings())
    return compare(chosen.topology, wishes, (), state, **how)


def applied(plan: TopicPlan, state: ClusterState) -> ClusterState:
    """What the cluster is like after the plan, in a model of it."""
    topics = dict(state.topics)
    for step in plan.steps:
        name = step.wanted.name
        if step.action is Action.CREATE:
            replicas = step.replicas or 1
            topics[name] = TopicState(
                step.after, replicas, dict(step.wanted.config_for(step.replicas))
            )
        elif step.action in {Action.CHANGE, Action.GROW}:
            new = {change.name: change.after for change in step.config}
            topics[name] = replace(
                topics[name], partitions=step.after, config={**topics[name].config, **new}
            )
    committed = {group: dict(offsets) for group, offsets in state.committed.items()}
    for offsets in plan.offsets:
        committed.setdefault(offsets.group, {}).update(
            {(offsets.topic, partition): at for partition, at in offsets.commits.items()}
        )
    schemas = {**state.schemas, **{schema.fingerprint: schema for schema in plan.schemas}}
    known = {**state.known_partitions, **plan.floors, **plan.counts}
    return replace(
        state, topics=topics, committed=committed, known_partitions=known, schemas=schemas
    )


def ready(declared: Pipeline | None = None) -> ClusterState:
    """A cluster on which the pipeline was applied, each group having come to offset 7."""
    empty = ClusterState(default_replicas=1)
    state = applied(plan_for(empty, declared), empty)
    return replace(
        state,
        committed={group: dict.fromkeys(offsets, 7) for group, offsets in state.committed.items()},
    )


def without_offsets(state: ClusterState, topic: str, *partitions: int) -> ClusterState:
    gone = {(topic, partition) for partition in partitions}
    return replace(
        state,
        committed={
            group: {place: at for place, at in offsets.items() if place not in gone}
            for group, offsets in state.committed.items()
        },
    )


def with_topic(state: ClusterState, topic: str, **changes: Any) -> ClusterState:
    return replace(state, topics={**state.topics, topic: replace(state.topics[topic], **changes)})


def with_config(state: ClusterState, topic: str, **changes: str) -> ClusterState:
    config = {**state.topics[topic].config}
    config |= {name.replace("_", "."): value for name, value in changes.items()}
    return with_topic(state, topic, config=config)


def step_of(plan: TopicPlan, topic: str) -> Any:
    return next(step for step in plan.steps if step.wanted.name == topic)


def commits_of(plan: TopicPlan, topic: str) -> Mapping[int, int]:
    return next((step.commits for step in plan.offsets if step.topic == topic), {})


# What topics must be like


def test_every_topic_of_the_topology_is_wanted_once() -> None:
    names = [topic.name for topic in wanted(pipeline(priorities=("high", "low")), settings())]
    timed = ["5s", "10s", "20s", "30s", "1m", "2m", "5m", "10m", "30m", "2h", "8h", "24h"]
    tiers = ["soon", *timed]
    assert sorted(names) == sorted(
        [
            "shop.mail.high",
            "shop.mail.low",
            "shop.mail.dlq",
            "shop.mail.dedup",
            *(f"shop.delay.{tier}" for tier in tiers),
            *(f"shop.{name}" for name in ("events", "control", "schedules", "schemas", "workers")),
            *(f"shop.{name}" for name in ("letters", "audit", "stats")),
            "shop.statistics-rows-changelog",
        ]
    )


def test_every_topic_stamps_the_time_of_append() -> None:
    topics = wanted(pipeline(), settings())
    assert {topic.config["message.timestamp.type"] for topic in topics} == {"LogAppendTime"}


def test_a_record_that_fits_its_lane_fits_the_tiers_and_the_dead_letters_with_more_headers() -> (
    None
):
    topics = wanted(pipeline(), settings(topic_max_message_bytes=2_000_000))
    largest = {topic.role: int(topic.config["max.message.bytes"]) for topic in topics}
    assert largest[Role.LANE] == 2_000_000
    assert largest[Role.TIER] == 2_000_000 + 512 * 1024
    assert largest[Role.DEAD_LETTERS] == largest[Role.EVENTS] == largest[Role.TIER]


def test_dead_letters_are_kept_for_their_own_time() -> None:
    topics = wanted(pipeline(), settings(dlq_retention=timedelta(days=90)))
    kept = {topic.role: topic.config.get("retention.ms") for topic in topics}
    assert kept[Role.DEAD_LETTERS] == str(90 * 86_400_000)
    assert kept[Role.LANE] == kept[Role.TIER] == str(7 * 86_400_000)
    assert kept[Role.AUDIT] == kept[Role.DEAD_LETTERS]


def test_what_was_done_about_a_letter_outlives_it_by_more_than_a_segment() -> None:
    topics = wanted(pipeline(), settings(dlq_retention=timedelta(days=1)))
    (letters,) = (topic for topic in topics if topic.role is Role.LETTERS)
    assert letters.config["cleanup.policy"] == "compact,delete"
    assert int(letters.config["retention.ms"]) > (1 + 7) * 86_400_000


def test_notes_of_dedup_keys_are_kept_for_the_window_beside_each_partition_of_the_lanes() -> None:
    queues = [
        Queue("mail", partitions=7, dedup_window=timedelta(days=2)),
        Queue("free", dedup_window=timedelta()),
    ]
    topics = {topic.name: topic for topic in wanted(Pipeline("shop", queues=queues), settings())}
    notes = topics["shop.mail.dedup"]
    assert notes.partitions == topics["shop.mail.high"].partitions == 7
    assert notes.config["cleanup.policy"] == "compact,delete"
    kept = timedelta(milliseconds=int(notes.config["retention.ms"]))
    assert timedelta(days=2) < kept <= timedelta(days=2, hours=1)
    assert timedelta(milliseconds=int(notes.config["segment.ms"])) < timedelta(hours=3)
    assert "shop.free.dedup" not in topics


def test_lanes_are_read_by_groups_of_their_name_and_all_tiers_by_the_scheduler() -> None:
    groups = {topic.name: topic.group for topic in wanted(pipeline(), settings())}
    assert groups[LANE] == LANE
    assert {group for name, group in groups.items() if ".delay." in name} == {"shop.scheduler"}
    assert groups["shop.mail.dlq"] is None


@pytest.mark.parametrize(
    ("overrides", "variable"),
    [
        ({"topic_retention": timedelta(hours=47)}, "HEADRACE_TOPIC_RETENTION"),
        ({"dlq_retention": timedelta()}, "HEADRACE_DLQ_RETENTION"),
        ({"topic_replication": 0}, "HEADRACE_TOPIC_REPLICATION"),
        ({"topic_replication": 1, "topic_min_insync": 2}, "HEADRACE_TOPIC_MIN_INSYNC"),
    ],
)
def test_settings_that_would_lose_jobs_are_refused_by_name(
    overrides: dict[str, Any], variable: str
) -> None:
    with pytest.raises(SettingsError, match=variable):
        wanted(pipeline(), settings(**overrides))


@pytest.mark.parametrize(("replicas", "insync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_min_insync_follows_the_replicas(replicas: int, insync: str) -> None:
    plan = plan_for(ClusterState(default_replicas=replicas))
    step = step_of(plan, LANE)
    assert step.wanted.config_for(step.replicas)["min.insync.replicas"] == insync


def test_min_insync_is_left_to_the_broker_when_the_replicas_are_unknown() -> None:
    step = step_of(plan_for(ClusterState(default_replicas=None)), LANE)
    assert "min.insync.replicas" not in step.wanted.config_for(step.replicas)


def test_min_insync_of_a_topic_that_exists_follows_its_own_replicas() -> None:
    state = with_topic(ready(), LANE, replicas=3)
    step = step_of(plan_for(state), LANE)
    assert [str(change) for change in step.config] == ["min.insync.replicas: 1 → 2"]


def test_a_min_insync_above_the_replicas_is_refused() -> None:
    plan = plan_for(ClusterState(default_replicas=1), given=settings(topic_min_insync=2))
    assert step_of(plan, LANE).action is Action.REFUSE
    assert "HEADRACE_TOPIC_MIN_INSYNC=2" in plan.refused[0]


# What happens to topics


def test_nothing_is_planned_where_everything_is_as_declared() -> None:
    plan = plan_for(ready())
    assert plan.nothing_to_do
    assert not plan.refused
    assert not plan.rows()


def test_a_setting_that_drifted_is_changed_back() -> None:
    plan = plan_for(with_config(ready(), LANE, retention_ms="1000"))
    assert step_of(plan, LANE).action is Action.CHANGE
    assert [str(c) for c in step_of(plan, LANE).config] == ["retention.ms: 1000 → 604800000"]


def test_fewer_partitions_are_refused_with_both_numbers() -> None:
    plan = plan_for(ready(pipeline(4)), pipeline(3))
    assert step_of(plan, LANE).action is Action.REFUSE
    assert "has 4 partitions and 3 are declared" in plan.refused[0]
    assert plan.nothing_to_do


def test_more_partitions_of_a_lane_are_refused_for_the_sake_of_its_keys() -> None:
    plan = plan_for(ready(pipeline(4)), pipeline(6))
    assert step_of(plan, LANE).action is Action.REFUSE
    assert "key" in plan.refused[0]
    assert "--grow-partitions" in plan.refused[0]


def test_more_partitions_are_added_when_asked_for() -> None:
    plan = plan_for(ready(pipeline(4)), pipeline(6), grow=True)
    step = step_of(plan, LANE)
    assert (step.action, step.before, step.after) == (Action.GROW, 4, 6)
    assert commits_of(plan, LANE) == {4: 0, 5: 0}
    assert plan.counts == {LANE: 6}


def test_a_live_group_begins_added_partitions_itself_and_the_old_count_stays() -> None:
    state = replace(ready(pipeline(4)), live_groups=frozenset({LANE}))
    plan = plan_for(state, pipeline(6), grow=True)
    assert not commits_of(plan, LANE)
    assert not plan.refused
    assert not plan.counts
    assert state.known_partitions[LANE] == 4


def test_growing_records_the_old_count_first_when_none_is_known() -> None:
    state = replace(ready(pipeline(4)), live_groups=frozenset({LANE}), known_partitions={})
    assert plan_for(state, pipeline(6), grow=True).floors == {LANE: 4}


def test_the_count_is_raised_once_the_live_workers_have_committed() -> None:
    grown = ready(pipeline(6))
    state = replace(grown, known_partitions={**grown.known_partitions, LANE: 4})
    assert plan_for(state, pipeline(6)).counts == {LANE: 6}


def test_a_lane_that_is_compacted_is_refused_and_left_alone() -> None:
    state = with_config(ready(), LANE, cleanup_policy="compact", retention_ms="5")
    step = step_of(plan_for(state), LANE)
    assert step.action is Action.REFUSE
    assert not step.config
    assert "cleanup.policy=compact" in step.problems[0]


def test_another_number_of_replicas_is_a_warning() -> None:
    plan = plan_for(ready(), given=settings(topic_replication=3))
    assert step_of(plan, LANE).action is Action.KEEP
    assert "1 replicas where 3 are set" in step_of(plan, LANE).warnings[0]
    assert plan.rows()


# Offsets


def test_a_new_topic_gets_an_offset_in_every_partition_of_every_group() -> None:
    state = ClusterState(default_replicas=1)
    plan = plan_for(state)
    committed = applied(plan, state).committed
    for topic in wanted(pipeline(), settings()):
        if topic.group:
            places = {(topic.name, partition) for partition in range(topic.partitions)}
            assert places <= set(committed[topic.group])


def test_an_empty_partition_without_offset_begins_at_its_start() -> None:
    state = replace(without_offsets(ready(), LANE, 2), spans={(LANE, 2): Span(40, 40)})
    assert commits_of(plan_for(state), LANE) == {2: 40}


def test_records_without_an_offset_are_refused_by_partition_with_both_ways_out() -> None:
    spans = {(LANE, 1): Span(3, 9), (LANE, 2): Span(0, 5)}
    plan = plan_for(replace(without_offsets(ready(), LANE, 1, 2), spans=spans))
    assert not commits_of(plan, LANE)
    [problem] = plan.refused
    assert LANE in problem
    assert "partitions 1-2" in problem
    assert "--from earliest" in problem
    assert "--from latest" in problem


@pytest.mark.parametrize(("start", "offset"), [("earliest", 3), ("latest", 9)])
def test_records_without_an_offset_begin_where_the_operator_says(start: Any, offset: int) -> None:
    state = replace(without_offsets(ready(), LANE, 1), spans={(LANE, 1): Span(3, 9)})
    plan = plan_for(state, start=start)
    assert commits_of(plan, LANE) == {1: offset}
    assert not plan.refused


def test_a_lost_offset_of_a_live_group_is_left_to_its_workers() -> None:
    state = replace(without_offsets(ready(), LANE, 1), live_groups=frozenset({LANE}))
    plan = plan_for(state, start="earliest")
    assert not commits_of(plan, LANE)
    assert "live workers" in plan.refused[0]


def test_an_added_partition_that_was_used_while_nobody_ran_begins_at_its_start() -> None:
    grown = without_offsets(ready(pipeline(6)), LANE, 4, 5)
    state = replace(
        grown,
        known_partitions={**grown.known_partitions, LANE: 4},
        spans={(LANE, 4): Span(0, 12), (LANE, 5): Span(0, 0)},
    )
    plan = plan_for(state, pipeline(6))
    assert commits_of(plan, LANE) == {4: 0, 5: 0}
    assert not plan.refused


def test_only_partitions_beyond_the_recorded_count_may_begin_at_zero() -> None:
    assert not starting_offset_allowed(3, 4)
    assert starting_offset_allowed(4, 4)
    assert not starting_offset_allowed(4, None)


@given(data=st.data())
def test_any_plan_applied_leaves_nothing_to_do_and_guesses_no_offset(data: st.DataObject) -> None:
    before, after = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    exists = data.draw(st.booleans())
    state = ready(pipeline(before)) if exists else ClusterState(default_replicas=1)
    if exists:
        lost = data.draw(st.sets(st.integers(0, before - 1)))
        ends = data.draw(st.lists(st.integers(0, 2), min_size=before, max_size=before))
        known = data.draw(st.one_of(st.none(), st.integers(1, before)))
        counts = {} if known is None else {**state.known_partitions, LANE: known}
        state = replace(
            without_offsets(state, LANE, *lost),
            spans={(LANE, p): Span(0, ends[p]) for p in lost},
            known_partitions=counts,
            live_groups=data.draw(st.sampled_from([frozenset(), frozenset({LANE})])),
        )
    how: dict[str, Any] = {
        "grow": data.draw(st.booleans()),
        "start": data.draw(st.sampled_from([None, "earliest", "latest"])),
    }
    plan = plan_for(state, pipeline(after), **how)
    for partition, offset in commits_of(plan, LANE).items():
        span = state.spans.get((LANE, partition), Span(0, 0))
        added = starting_offset_allowed(partition, state.known_partitions.get(LANE))
        assert how["start"] or span.empty or added
        assert offset in {span.start, span.end}
    then = applied(plan, state)
    assert then.topics[LANE].partitions >= (before if exists else 0)
    again = plan_for(then, pipeline(after), **how)
    assert again.nothing_to_do
    assert again.refused == plan.refused


# How it reads


def test_a_plan_reads_like_a_list_of_changes_with_a_summary() -> None:
    state = with_config(ready(pipeline(4)), "shop.events", retention_ms="1000")
    declared = pipeline(3, priorities=("high", "low"))
    output = io.StringIO()
    plan_for(state, declared).render(Console(file=output, width=60))
    text = output.getvalue()
    assert "+ create  shop.mail.low  lane, partitions: 3, replicas: 1" in text
    assert "~ change  shop.events  retention.ms: 1000 → 604800000" in text
    assert "! refuse  shop.mail.high\n" in text
    assert "! refuse  shop.mail.dedup\n" in text
    assert "Plan: 1 to create, 1 to change, 2 refused" in text
    assert "shop.control" not in text


def test_schemas_to_publish_are_part_of_the_plan() -> None:
    schema = PublishedSchema("mail.send", '{"type":"record","name":"a","fields":[]}', b"12345678")
    state = ready()
    plan = compare(pipeline().topology, wanted(pipeline(), settings()), [schema], state)
    assert plan.schemas == (schema,)
    assert not plan.nothing_to_do
    then = applied(plan, state)
    assert compare(
        pipeline().topology, wanted(pipeline(), settings()), [schema], then
    ).nothing_to_do


def test_partitions_are_written_shortly() -> None:
    assert listed([3]) == "partition 3"
    assert listed([0, 1, 2, 5, 8, 9]) == "partitions 0-2, 5, 8-9"


def test_the_topic_of_heartbeats_forgets_processes_by_itself_also_where_it_was_made_without() -> (
    None
):
    (beats,) = (topic for topic in wanted(pipeline(), settings()) if topic.role is Role.HEARTBEATS)
    assert beats.config["cleanup.policy"] == "compact,delete"
    assert beats.config["retention.ms"] == str(86_400_000)
    older = with_config(ready(), "shop.workers", cleanup_policy="compact")
    step = step_of(plan_for(older), "shop.workers")
    assert (step.action, step.problems) == (Action.CHANGE, ())
