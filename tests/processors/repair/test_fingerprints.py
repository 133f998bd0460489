"""Alike errors have one fingerprint; different ones have different ones."""

import pytest

from headrace.processors.repair.fingerprints import fingerprint, normalised
from tests.processors.repair.letters import TRACEBACK


def test_data_line_numbers_folders_and_frames_of_the_engine_make_no_difference() -> None:
    first = fingerprint("PaymentError", "card 4711 of order 17 was refused", TRACEBACK)
    other = (
        TRACEBACK.replace("4711", "4712")
        .replace("line 17", "line 99")
        .replace("/opt/app/shop", r"C:\apps\shop".replace("\\shop", "\\lib"))
        .replace("consumers/running.py", "consumers/executors/thread_executor.py")
    )
    second = fingerprint("PaymentError", "card 4712 of order 18 was refused", other)
    assert first.id == second.id
    assert first.frames == ("jobs.py:charge",)
    assert first.title == "PaymentError: card # of order # was refused"


@pytest.mark.parametrize(
    ("error_type", "traceback"),
    [
        ("OtherError", TRACEBACK),
        ("PaymentError", TRACEBACK.replace("in charge", "in refund")),
        ("PaymentError", TRACEBACK.replace("jobs.py", "cards.py")),
    ],
)
def test_another_type_or_another_place_is_another_fingerprint(
    error_type: str, traceback: str
) -> None:
    message = "card 4711 of order 17 was refused"
    one = fingerprint("PaymentError", message, TRACEBACK)
    assert fingerprint(error_type, message, traceback).id != one.id


def test_without_a_traceback_the_message_stands_in() -> None:
    one = fingerprint("ProcessDied", "process 17 died: SIGKILL", "")
    assert one.id == fingerprint("ProcessDied", "process 9 died: SIGKILL", "").id
    assert one.id != fingerprint("ProcessDied", "process 9 died: SIGSEGV", "").id


def test_outer_frames_that_a_cut_traceback_has_lost_make_no_difference() -> None:
    deep = "".join(f'  File "/a/deep.py", line {n}, in step\n' for n in range(300))
    assert fingerprint("E", "", deep).id == fingerprint("E", "", deep[-3_000:]).id


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        ("order 17 of 0190f5a2-7c3e-7000-8000-123456789abc", "order # of #"),
        ("at 0x7f3a2b10 in 3.5 s", "at # in #.# s"),
        ("a dead facade is decade old", "a dead facade is decade old"),
        ("first\nsecond 2", "first"),
        ("", ""),
    ],
)
def test_numbers_and_ids_in_a_message_become_one_sign(message: str, plain: str) -> None:
    assert normalised(message) == plain
