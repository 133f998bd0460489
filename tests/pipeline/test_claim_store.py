"""The store of what is too large for Kafka: the same promises by a folder and by other stores."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from pydantic import SecretStr

from headrace.pipeline.claims import ClaimStore, claim_in, older_than
from headrace.pipeline.errors import ClaimsUnavailableError
from headrace.pipeline.settings import ClaimSettings
from headrace.schemas.claims import Claim, ClaimLostError
from headrace.schemas.headers import CLAIM

DATA = bytes(range(256)) * 10


def store_at(url: str | None, above: int = 100) -> ClaimStore:
    secret = None if url is None else SecretStr(url)
    return ClaimStore(ClaimSettings(claims_url=secret, claims_above=above), "shop")


@pytest.fixture(params=["folder", "file-url", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, unique_name: str) -> Iterator[ClaimStore]:
    urls = {
        "folder": f"{tmp_path}/to be made/claims/",
        "file-url": f"file://{tmp_path}/claims",
        "memory": f"memory://{unique_name}",
    }
    yield store_at(urls[request.param])
    files = fsspec.filesystem("memory")
    if files.exists(f"/{unique_name}"):
        files.rm(f"/{unique_name}", recursive=True)


def test_what_was_stored_is_fetched(store: ClaimStore) -> None:
    claim = store.put("arguments", DATA)
    assert claim.key.startswith(f"shop/{datetime.now(UTC).date()}/arguments-")
    assert store.get(claim) == DATA
    assert store.get(store.put("result", b"")) == b""


def test_the_same_data_twice_are_two_claims(store: ClaimStore) -> None:
    assert store.put("result", DATA).key != store.put("result", DATA).key


def test_what_is_gone_is_lost_and_says_what_to_do(store: ClaimStore) -> None:
    claim = store.put("arguments", DATA)
    [day] = store.dates()
    store.remove(day)
    with pytest.raises(ClaimLostError, match=r"nothing lies at shop/.*submit it again"):
        store.get(claim)
    assert store.dates() == []
    store.remove(day)


def test_a_folder_that_is_not_there_is_no_lost_claim_but_no_answer(tmp_path: Path) -> None:
    claim = store_at(f"{tmp_path}/claims").put("arguments", DATA)
    (tmp_path / "claims").rename(tmp_path / "elsewhere")
    with pytest.raises(ClaimsUnavailableError, match="could not be fetched"):
        store_at(f"{tmp_path}/claims").get(claim)
    assert store_at(f"{tmp_path}/elsewhere").get(claim) == DATA


def test_what_was_altered_is_refused(store: ClaimStore) -> None:
    claim = store.put("arguments", DATA)
    files, root = store._open()
    files.pipe_file(f"{root}/{claim.key}", DATA[:-1] + b"x")
    with pytest.raises(ClaimLostError, match="was altered"):
        store.get(claim)


def test_an_empty_store_has_no_days(store: ClaimStore) -> None:
    assert store.dates() == []


def test_only_what_is_above_the_bound_is_taken() -> None:
    store = store_at("memory://x", above=100)
    assert [store.takes(bytes(size)) for size in (99, 100, 101)] == [False, False, True]
    assert not store_at(None).takes(DATA)


def test_a_claim_without_a_store_says_which_setting_is_missing() -> None:
    with pytest.raises(ClaimsUnavailableError, match="HEADRACE_CLAIMS_URL is not set here"):
        store_at(None).get(Claim.of("shop/x", DATA))


def test_a_store_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ClaimsUnavailableError, match="could not be stored"):
        store_at(str(tmp_path / "file")).put("arguments", DATA)
    with pytest.raises(ClaimsUnavailableError, match="could not be fetched") as caught:
        store_at("nonsense://user:topsecret@host/x").get(Claim.of("shop/x", DATA))
    assert "topsecret" not in str(caught.value)
    assert "topsecret" not in repr(ClaimSettings(claims_url=SecretStr("x://a:topsecret@b")))


def test_the_claim_of_a_record_stands_in_its_headers() -> None:
    claim = Claim.of("shop/x", DATA)
    assert claim_in([("a", None), (CLAIM, str(claim).encode())]) == claim
    assert claim_in([("a", b"b")]) is None
    with pytest.raises(ClaimLostError):
        claim_in([(CLAIM, b"\xff")])


def test_days_are_old_once_they_were_over_for_so_long() -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    now = datetime(2026, 1, 4, tzinfo=UTC)
    assert older_than(days, timedelta(days=1), now) == days[:2]
    assert older_than(days, timedelta(days=1, seconds=1), now) == days[:1]


def test_the_dates_are_those_of_folders_that_are_dates(tmp_path: Path) -> None:
    for name in ("2026-01-02", "2025-12-31", "notes", "2026-13-01"):
        (tmp_path / "shop" / name).mkdir(parents=True)
    (tmp_path / "other" / "2020-01-01").mkdir(parents=True)
    assert store_at(str(tmp_path)).dates() == [date(2025, 12, 31), date(2026, 1, 2)]
