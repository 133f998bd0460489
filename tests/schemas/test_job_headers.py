"""Reading a record's headers: what is read quickly is read as everything else is."""

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.schemas import headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.headers import JobHeaders, decode, for_submission

Given = list[tuple[str, bytes | None]]
TIME = b"2026-11-22T10:00:00.123Z"
SUBMITTED: Given = [
    (headers.ID, b"0199"),
    (headers.TIME, TIME),
    *for_submission("shop", "mail", "shop.default.normal"),
]
_ODD: Given = [
    ("other", b"x"),
    (headers.LANE, b""),
    (headers.LANE, None),
    (headers.ATTEMPT, b"7"),
    (headers.ATTEMPT, b"-1"),
    (headers.ID, b"another"),
    (headers.TIME, b"2027-01-01T00:00:00Z"),
    (headers.TYPE, None),
    (headers.DUE, b"1763805600000"),
    (headers.DUE, b"soon"),
    (headers.HOPPED, b"1763805600000"),
    (headers.TENANT, b"acme"),
]


def read(given_: Given) -> JobHeaders | str:
    try:
        return decode(given_, lane="tier", timestamp=5)
    except InvalidHeadersError as error:
        return str(error)


def test_a_new_job_is_read_back() -> None:
    job = decode(SUBMITTED, lane="tier", timestamp=5)
    assert job == JobHeaders(
        "0199", "mail", "/headrace/shop", 1_795_341_600_123, "shop.default.normal"
    )


@given(
    st.sampled_from([*SUBMITTED[:1], (headers.ID, b""), (headers.ID, None)]),
    st.sampled_from([TIME, b"", b"soon", None]),
    st.lists(st.sampled_from(SUBMITTED[2:] + _ODD), min_size=7, max_size=9),
)
@example(SUBMITTED[0], TIME, SUBMITTED[2:])
@example(SUBMITTED[0], TIME, [*SUBMITTED[2:], (headers.DUE, b"7"), (headers.HOPPED, b"5")])
@example(SUBMITTED[0], TIME, [*SUBMITTED[3:], (headers.DUE, b"7"), SUBMITTED[2]])
def test_the_place_of_a_header_does_not_matter(
    first: tuple[str, bytes | None], time: bytes | None, rest: Given
) -> None:
    """A record as a producer of ours writes it is read by a shorter way."""
    there = [first, (headers.TIME, time), *rest]
    elsewhere = [("ignored", b""), *there]
    ignored = (("ignored", b""),)
    expected, found = read(elsewhere), read(there)
    if isinstance(expected, JobHeaders):
        kept = tuple(each for each in expected.extra if each not in ignored)
        expected = expected._replace(extra=kept)
        assert found == expected
    else:
        assert isinstance(found, str)
