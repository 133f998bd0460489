"""Reads writers' schemas from a Confluent-compatible schema registry, each id once."""

import base64
import json
import threading
import urllib.error
import urllib.request
from datetime import timedelta
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit

from headrace.schemas.errors import RegistryUnavailableError, SchemaError, UnknownSchemaError
from headrace.schemas.parsed import ParsedSchema, parse

_GREATEST_ANSWER = 4 * 1024 * 1024
_TIMEOUT = timedelta(seconds=5)


class RegistrySchemas:
    """Schemas by registry id, asked for once and kept: an id never changes its schema.

    Safe to share between threads; two that ask for one new id at once may both ask the registry.
    """

    def __init__(self, url: str, timeout: timedelta = _TIMEOUT) -> None:
        """Nothing is asked yet.

        Args:
            url: the registry's address; ``https://user:password@host`` gives basic auth, which
                no error and no repr shows.
            timeout: the longest wait for one answer; without it a silent registry would hold
                a partition for ever.

        Raises:
            RegistryUnavailableError: the address is not an http or https one.
        """
        parts = urlsplit(url)
        self._url = _without_credentials(parts)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryUnavailableError(self._url, "it is not an http:// or https:// address")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"} | _basic_auth(parts)
        self._timeout = timeout.total_seconds()
        self._known: dict[int, ParsedSchema] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<RegistrySchemas {self._url}>"

    def by_fingerprint(self, mark: bytes, /) -> ParsedSchema:
        """A registry knows ids only.

        Raises:
            UnknownSchemaError: always.
        """
        raise UnknownSchemaError(
            f"fingerprint {mark.hex()}", "it is looked for on the pipeline's .schemas topic"
        )

    def by_registry_id(self, registry_id: int, /) -> ParsedSchema:
        """The schema with this id.

        Raises:
            UnknownSchemaError: the registry has no such id, or it is not a plain Avro schema.
            RegistryUnavailableError: no usable answer within the timeout.
        """
        known = self._known.get(registry_id)
        if known is not None:
            return known
        parsed = _schema_in(self._answer(registry_id), registry_id)
        with self._lock:
            return self._known.setdefault(registry_id, parsed)

    def _answer(self, registry_id: int) -> dict[str, Any]:
        try:
            answer = json.loads(self._fetch(f"{self._url}/schemas/ids/{registry_id}"))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error.code, registry_id) from None
        except (OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {getattr(error, 'reason', error)}"
            raise RegistryUnavailableError(self._url, reason) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("schema"), str):
            raise RegistryUnavailableError(self._url, "the answer holds no schema")
        return answer

    def _fetch(self, url: str) -> bytes:
        request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - checked above
        opener = urllib.request.build_opener(_NoRedirects)
        response: IO[bytes]
        with opener.open(request, timeout=self._timeout) as response:
            return response.read(_GREATEST_ANSWER)

    def _refused(self, status: int, registry_id: int) -> Exception:
        if status == 404:
            remedy = f"register it at {self._url}, or see which registry the sender uses"
            return UnknownSchemaError(f"registry id {registry_id}", remedy)
        return RegistryUnavailableError(self._url, f"HTTP status {status}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the password to wherever it points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _schema_in(answer: dict[str, Any], registry_id: int) -> ParsedSchema:
    subject = f"registry id {registry_id}"
    if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
        raise UnknownSchemaError(subject, "only Avro schemas without references can be read")
    try:
        return parse(answer["schema"])
    except SchemaError as error:
        raise UnknownSchemaError(subject, f"what is registered cannot be used: {error}") from error


def _without_credentials(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _basic_auth(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
