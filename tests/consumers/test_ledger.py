"""Nothing unfinished is ever covered by a commit, nothing finished ever stands in its way."""

import random

import pytest

from headrace.consumers import commit_metadata
from headrace.consumers.commit import Commit, LedgerError
from headrace.consumers.commit_metadata import (
    MAX_CHARACTERS,
    CommitMetadata,
    MetadataTooLargeError,
    State,
)
from headrace.consumers.ledger import FULL_SHARE, RECORDS_PAST_FULL, PartitionLedger


def read(ledger: PartitionLedger, *offsets: int) -> list[bool]:
    return [ledger.start(offset) for offset in offsets]


def land(ledger: PartitionLedger) -> Commit:
    commit = ledger.commit()
    assert commit is not None
    ledger.committed(commit)
    return commit


def finished_in(commit: Commit) -> tuple[range, ...]:
    metadata = commit_metadata.decode(commit.metadata, commit.offset)
    assert isinstance(metadata, CommitMetadata)
    return metadata.finished


def test_the_commit_point_waits_for_the_lowest_unfinished_offset() -> None:
    ledger = PartitionLedger(10)
    assert read(ledger, 10, 11, 12) == [True, True, True]
    ledger.finish(12)
    ledger.finish(11)
    assert (ledger.commit_point, ledger.running, ledger.finished_above, ledger.span) == (
        10,
        1,
        2,
        3,
    )
    assert finished_in(land(ledger)) == (range(11, 13),)
    ledger.finish(10)
    assert (ledger.commit_point, ledger.finished_above, ledger.span) == (13, 0, 0)
    assert land(ledger).offset == 13


def test_a_record_that_runs_or_is_done_is_not_started_again() -> None:
    ledger = PartitionLedger(10)
    read(ledger, 10, 11)
    ledger.finish(11)
    assert read(ledger, 9, 10, 11) == [False, False, False]
    assert ledger.running == 1


def test_an_outcome_for_an_offset_that_does_not_run_is_refused_with_its_values() -> None:
    ledger = PartitionLedger(10)
    read(ledger, 10)
    ledger.finish(10)
    for unknown in (10, 11, 3):
        with pytest.raises(LedgerError, match=rf"offset {unknown} is not running.*commit_point=11"):
            ledger.finish(unknown)


def test_compaction_holes_neither_stall_nor_skip() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 3, 7)
    assert ledger.commit_point == 3
    ledger.finish(7)
    assert finished_in(land(ledger)) == (range(4, 8),)
    ledger.finish(3)
    assert ledger.commit_point == 8


def test_a_drained_partition_commits_its_end_offset() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0)
    ledger.advance_to(2)
    assert ledger.commit_point == 0
    ledger.finish(0)
    assert land(ledger).offset == 2
    ledger.advance_to(5)
    assert land(ledger).offset == 5
    ledger.advance_to(4)
    assert ledger.commit() is None


def test_a_restored_map_is_run_only_where_it_has_gaps() -> None:
    ledger = PartitionLedger(10, [range(11, 13), range(15, 20)])
    assert (ledger.commit_point, ledger.finished_above, ledger.span) == (10, 7, 10)
    started = [offset for offset in range(10, 22) if ledger.start(offset)]
    assert started == [10, 13, 14, 20, 21]


def test_a_restored_map_survives_commits_made_before_reading_reaches_it() -> None:
    ledger = PartitionLedger(10, [range(12, 13), range(15, 20)])
    read(ledger, 10)
    ledger.finish(10)
    commit = land(ledger)
    assert (commit.offset, finished_in(commit)) == (11, (range(12, 13), range(15, 20)))
    read(ledger, 11)
    ledger.finish(11)
    commit = land(ledger)
    assert (commit.offset, finished_in(commit)) == (13, (range(15, 20),))
    assert (ledger.running, ledger.finished_above, ledger.span) == (0, 5, 7)


def test_a_hole_at_a_gap_of_the_restored_map_counts_as_done() -> None:
    ledger = PartitionLedger(10, [range(12, 13), range(15, 20)])
    assert read(ledger, 14) == [True]
    ledger.finish(14)
    assert ledger.commit_point == 20


def test_what_retention_deleted_unread_is_returned_and_passed() -> None:
    ledger = PartitionLedger(10, [range(14, 16), range(30, 40)])
    read(ledger, 10, 11)
    assert ledger.lost(20) == (range(12, 14), range(16, 20))
    assert (ledger.running, ledger.commit_point) == (2, 10)
    ledger.finish(10)
    ledger.finish(11)
    commit = land(ledger)
    assert (commit.offset, finished_in(commit)) == (20, (range(30, 40),))
    assert ledger.lost(15) == ()
    assert ledger.lost(45) == (range(20, 30), range(40, 45))


def test_nothing_new_is_nothing_to_commit() -> None:
    ledger = PartitionLedger(0, note=CommitMetadata(State.OPEN))
    land(ledger)
    assert ledger.commit() is None
    read(ledger, 0, 1)
    assert ledger.commit() is None
    ledger.note = CommitMetadata(State.OPEN)
    assert ledger.commit() is None
    ledger.finish(0)
    assert land(ledger).offset == 1
    assert ledger.commit() is None


def test_an_idle_partition_can_renew_its_commit() -> None:
    ledger = PartitionLedger(7)
    first = land(ledger)
    assert ledger.commit(renew=True) == first


def test_a_change_of_the_note_alone_is_committed() -> None:
    ledger = PartitionLedger(7, note=CommitMetadata(State.OPEN, transactional_id="lane-1"))
    land(ledger)
    ledger.note = CommitMetadata(State.CLEAN, transactional_id="lane-1")
    commit = land(ledger)
    assert commit_metadata.decode(commit.metadata, 7) == ledger.note


def test_at_most_one_commit_is_outstanding() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0, 1)
    ledger.finish(0)
    first = ledger.commit()
    ledger.finish(1)
    assert ledger.outstanding is first
    assert ledger.commit() is None
    assert ledger.commit(renew=True) is None
    assert first is not None
    ledger.committed(first)
    assert land(ledger).offset == 2


def test_a_commit_that_did_not_land_is_made_again() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0)
    ledger.finish(0)
    failed = ledger.commit()
    assert failed is not None
    ledger.commit_failed(failed)
    assert ledger.commit() == failed


def test_only_the_outstanding_commit_can_be_settled() -> None:
    ledger = PartitionLedger(0)
    stranger = Commit(5, "")
    for settle in (ledger.committed, ledger.commit_failed):
        with pytest.raises(LedgerError, match="outstanding is None"):
            settle(stranger)


def test_a_hand_over_finishes_only_when_its_commit_has_landed() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0, 1, 2)
    aborted = ledger.commit(handing_over=[0, 2])
    assert aborted is not None
    assert (aborted.offset, finished_in(aborted)) == (1, (range(2, 3),))
    assert ledger.commit_point == 0
    ledger.commit_failed(aborted)
    plain = land(ledger)
    assert (plain.offset, finished_in(plain)) == (0, ())
    again = ledger.commit(handing_over=[0, 2])
    assert again is not None
    ledger.committed(again)
    assert (ledger.commit_point, ledger.running) == (1, 1)
    assert ledger.commit() is None


def test_a_hand_over_of_the_last_running_job_commits_past_it() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0)
    commit = ledger.commit(handing_over=[0])
    assert commit is not None
    assert commit.offset == 1


def test_a_hand_over_of_what_does_not_run_is_refused() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0)
    with pytest.raises(LedgerError, match=r"offsets \[4\] to hand over are not running"):
        ledger.commit(handing_over=[0, 4])
    assert ledger.outstanding is None


def test_a_hand_over_while_a_commit_is_outstanding_is_refused() -> None:
    ledger = PartitionLedger(0)
    read(ledger, 0)
    ledger.commit()
    with pytest.raises(LedgerError, match="commit of offset 0 is outstanding"):
        ledger.commit(handing_over=[0])


def test_one_stuck_job_before_100_000_finished_ones_neither_stops_nor_grows_the_map() -> None:
    ledger = PartitionLedger(0)
    ledger.start(0)
    for offset in range(1, 100_001):
        ledger.start(offset)
        ledger.finish(offset)
    assert not ledger.full
    assert ledger.metadata_use < 0.01
    assert len(land(ledger).metadata) < 20


def test_one_stuck_job_leaves_room_for_2_000_in_flight_behind_a_million_finished_ones() -> None:
    ledger = PartitionLedger(0)
    ledger.start(0)
    read(ledger, *range(1_000_000, 1_002_000))
    assert not ledger.full
    read(ledger, *range(1_002_000, 1_002_400))
    assert ledger.full


def test_a_full_partition_still_commits_whatever_order_its_jobs_finish_in() -> None:
    for seed, hole in ((1, 1), (2, 10), (3, 100), (4, 5_000)):
        rng = random.Random(seed)
        ledger = PartitionLedger(0)
        offset = 0
        running = []
        while not ledger.full:
            offset += rng.randint(1, hole)
            assert ledger.start(offset)
            running.append(offset)
        for _ in range(RECORDS_PAST_FULL):
            offset += rng.randint(1, min(hole, 40))
            assert ledger.start(offset)
            running.append(offset)
        rng.shuffle(running)
        while running:
            use = ledger.metadata_use
            for late in running[-200:]:
                ledger.finish(late)
            del running[-200:]
            assert ledger.metadata_use <= max(use, FULL_SHARE)
            assert len(land(ledger).metadata) <= MAX_CHARACTERS
        assert ledger.commit_point == offset + 1


def test_a_partition_that_was_full_when_its_owner_died_reads_again() -> None:
    ledger = PartitionLedger(0)
    offset = 0
    while not ledger.full:
        ledger.start(offset)
        offset += 1
    for _ in range(RECORDS_PAST_FULL):
        ledger.start(offset)
        offset += 1
    for late in range(1, offset, 2):
        ledger.finish(late)
    commit = land(ledger)
    heir = PartitionLedger(commit.offset, finished_in(commit))
    assert heir.metadata_use > FULL_SHARE
    assert not heir.full
    assert heir.metadata_use == pytest.approx(ledger.metadata_use, abs=0.01)
    started = [at for at in range(offset) if heir.start(at)]
    assert started == list(range(0, offset, 2))
    for at in started:
        heir.finish(at)
    assert land(heir).offset == heir.commit_point == offset


def test_metadata_that_cannot_fit_is_refused_and_fits_again_when_jobs_finish() -> None:
    ledger = PartitionLedger(0)
    rng = random.Random(5)
    running = list(range(40_000))
    read(ledger, *running)
    assert ledger.metadata_use > 1
    rng.shuffle(running)
    for offset in running[:20_000]:
        ledger.finish(offset)
    with pytest.raises(MetadataTooLargeError):
        ledger.commit()
    assert ledger.outstanding is None
    for offset in running[20_000:]:
        ledger.finish(offset)
    assert land(ledger).offset == 40_000


def test_extra_bytes_of_the_note_count_against_the_room() -> None:
    ledger = PartitionLedger(0, note=CommitMetadata(extra=b"k" * 1_000))
    assert 0.32 < ledger.metadata_use < 0.34
    ledger.note = CommitMetadata(extra=b"k" * 2_400)
    assert ledger.metadata_use > FULL_SHARE
    assert ledger.full
