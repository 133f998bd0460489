"""Storing what is too large for Kafka, and fetching it: the claim check.

Needs the extra `claims` (fsspec), which is loaded with the first claim. Objects are written once,
under keys of their own, and never changed: `<pipeline>/<date>/<arguments|result>-<id>`.
"""

import importlib.util
import threading
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from headrace.pipeline.errors import ClaimsUnavailableError, SettingsError
from headrace.pipeline.settings import ClaimSettings
from headrace.schemas.claims import Claim, ClaimLostError
from headrace.schemas.headers import CLAIM
from headrace.schemas.ids import new_job_id

Kind = Literal["arguments", "result"]
_LOCAL: Final = frozenset({"file", "local"})


class ClaimStore:
    """The store of one pipeline's claims. Thread-safe; connects when first used.

    Args:
        settings: Where it is.
        pipeline: The pipeline's name.

    Raises:
        SettingsError: HEADRACE_CLAIMS_URL is set, and fsspec is not installed.
    """

    def __init__(self, settings: ClaimSettings, pipeline: str) -> None:
        self._url = None if settings.claims_url is None else settings.claims_url.get_secret_value()
        self._pipeline = pipeline
        self.above = settings.claims_above
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None
        if self._url is not None and importlib.util.find_spec("fsspec") is None:
            raise SettingsError(
                "HEADRACE_CLAIMS_URL is set, and fsspec is not installed: "
                "`pip install 'headrace[claims]'`, or 'headrace[s3]' for s3:// URLs"
            )

    @property
    def given(self) -> bool:
        """Whether there is a store."""
        return self._url is not None

    def takes(self, data: bytes) -> bool:
        """Whether data is to be stored here, because it is too large."""
        return len(data) > self.above and self._url is not None

    def put(self, kind: Kind, data: bytes) -> Claim:
        """Store bytes; they are there when this returns.

        Raises:
            ClaimsUnavailableError: The store did not take them.
        """
        today = datetime.now(UTC).date()
        claim = Claim.of(f"{self._pipeline}/{today.isoformat()}/{kind}-{new_job_id()}", data)
        try:
            files, root = self._open()
            path = f"{root}/{claim.key}"
            if _is_local(files):
                files.makedirs(path.rpartition("/")[0], exist_ok=True)
            files.pipe_file(path, data)
        except Exception as error:
            raise self._unavailable(f"{len(data):,} bytes could not be stored", error) from error
        return claim

    def get(self, claim: Claim) -> bytes:
        """Fetch what a claim stands for, and check that it is that.

        Raises:
            ClaimLostError: It is not there any more, or was altered.
            ClaimsUnavailableError: The store gives no answer; the same call may succeed later.
        """
        if self._url is None:
            raise ClaimsUnavailableError(
                f"a job's data is stored at {claim.key}, and HEADRACE_CLAIMS_URL is not set here: set "
                "it to what the submitting services have"
            )
        try:
            files, root = self._open()
            data = _read(files, root, claim.key)
        except Exception as error:
            raise self._unavailable(f"{claim.key} could not be fetched", error) from error
        if data is None:
            raise ClaimLostError(
                f"nothing lies at {claim.key} of {self.shown} any more (it held {claim.length:,} "
                "bytes): restore it from a backup, then replay the job, or submit it again; keep "
                "claims at least as long as dead letters"
            )
        claim.check(data)
        return data

    def dates(self) -> list[date]:
        """The days of which claims of the pipeline are stored, oldest first.

        Raises:
            ClaimsUnavailableError: The store gives no answer.
        """
        try:
            files, root = self._open()
            found = files.ls(f"{root}/{self._pipeline}", detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._unavailable("claims could not be listed", error) from error
        return sorted(_dates(str(path).rstrip("/").rpartition("/")[2] for path in found))

    def remove(self, day: date) -> None:
        """Delete the claims of a day.

        Raises:
            ClaimsUnavailableError: The store did not do it, or only in part.
        """
        try:
            files, root = self._open()
            files.rm(f"{root}/{self._pipeline}/{day.isoformat()}", recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._unavailable(f"claims of {day} could not be deleted", error) from error

    @property
    def shown(self) -> str:
        """The URL without what may be secret."""
        parts = urlsplit(self._url or "")
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                if self._url is None:
                    raise ClaimsUnavailableError("HEADRACE_CLAIMS_URL is not set")
                from fsspec import url_to_fs  # noqa: PLC0415 - most processes never need it

                files, root = url_to_fs(self._url)
                self._opened = files, str(root).rstrip("/")
            return self._opened

    def _unavailable(self, what: str, error: Exception) -> ClaimsUnavailableError:
        reason = str(error).replace(self._url or "\0", self.shown)
        return ClaimsUnavailableError(
            f"{what}: the store at {self.shown} answered {type(error).__name__}: {reason[:300]}; check "
            "HEADRACE_CLAIMS_URL, its rights and the extra it needs"
        )


def claim_in(headers: Iterable[tuple[str, bytes | None]]) -> Claim | None:
    """Find the claim among a record's headers; None when its arguments lie in it.

    Raises:
        ClaimLostError: There is one that cannot be understood.
    """
    for name, value in headers:
        if name == CLAIM:
            return Claim.read((value or b"").decode(errors="replace"))
    return None


def older_than(days: Iterable[date], age: timedelta, now: datetime) -> list[date]:
    """Give the days that were over for that long."""
    return [day for day in days if _end_of(day) + age <= now]


def _read(files: Any, root: str, key: str) -> bytes | None:
    """Read an object; None when the store is there and the object is not.

    Raises:
        FileNotFoundError: The store itself is not there: a folder that is not mounted, for one.
    """
    try:
        data: bytes = files.cat_file(f"{root}/{key}")
    except FileNotFoundError:
        # Of an object store the bucket: a prefix without objects does not exist
        place = root if _is_local(files) else root.partition("/")[0]
        if not files.exists(place):
            raise
        return None
    return data


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _dates(names: Iterable[str]) -> Iterable[date]:
    for name in names:
        try:
            yield date.fromisoformat(name)
        except ValueError:
            continue  # not ours


def _is_local(files: Any) -> bool:
    protocol = files.protocol
    return not _LOCAL.isdisjoint({protocol} if isinstance(protocol, str) else protocol)
