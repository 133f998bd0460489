"""Job ids: unique whoever makes them, and in the order of time."""

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from headrace.schemas.ids import new_job_id


def some(count: int = 5_000) -> list[str]:
    return [new_job_id() for _ in range(count)]


def test_an_id_is_a_uuid_of_version_7_that_says_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    ids = [uuid.UUID(each) for each in some()]
    after = time.time_ns() // 1_000_000
    assert {(each.version, each.variant) for each in ids} == {(7, uuid.RFC_4122)}
    assert all(before <= each.int >> 80 <= after for each in ids)
    assert str(ids[0]) == str(uuid.UUID(str(ids[0])))


def test_ids_of_several_threads_are_unique() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [each for ids in pool.map(some, [5_000] * 8) for each in ids]
    assert len(set(made)) == 40_000


def test_a_forked_child_makes_ids_of_its_own() -> None:
    new_job_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(some(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reader, 36 * 100).decode()
    os.close(reader)
    os.close(writer)
    theirs = [told[place : place + 36] for place in range(0, len(told), 36)]
    assert len(theirs) == 100
    assert not {each[-12:] for each in theirs} & {each[-12:] for each in some(100_000)}
