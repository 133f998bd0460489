"""The scaler's certificates: read again when their files change, as a renewed Secret changes them."""

from pathlib import Path
from typing import Final

import grpc
import structlog

from headrace.consumers.seldom import Seldom
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import ScalerSettings
from headrace.pipeline.settings.base import variable

_LOG: Final = structlog.get_logger("headrace.scaler")
_FIELDS: Final = ("scaler_tls_cert", "scaler_tls_key", "scaler_tls_client_ca")
_Contents = tuple[bytes, bytes, bytes]


class Certificates:
    """What a server proves itself with, and checks its clients against.

    Args:
        files: The certificate with its chain, its key, the authorities of clients.

    Raises:
        SettingsError: A file cannot be read.
    """

    def __init__(self, files: tuple[Path, Path, Path]) -> None:
        self._files = files
        self._used = self._read()
        self._troubles = Seldom(_LOG)

    @classmethod
    def of(cls, settings: ScalerSettings) -> "Certificates | None":
        """Give those of the settings; None without TLS. Raises SettingsError."""
        return None if settings.scaler_tls is None else cls(settings.scaler_tls)

    def credentials(self) -> grpc.ServerCredentials:
        """Give what a port is opened with: clients without a certificate are refused."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._used), self._renewed, require_client_authentication=True
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration:
        """Before each handshake: what the files say now, or said when they could be read."""
        try:
            found = self._read()
        except SettingsError as error:
            self._troubles.warn("certificates stay as they were", reason=str(error))
            found = self._used
        if found != self._used:
            self._used = found
            _LOG.info("certificates were renewed")
        return _configuration(found)

    def _read(self) -> _Contents:
        cert, key, authority = (
            _content(field, file) for field, file in zip(_FIELDS, self._files, strict=True)
        )
        return cert, key, authority


def _configuration(contents: _Contents) -> grpc.ServerCertificateConfiguration:
    cert, key, authority = contents
    return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=authority)


def _content(field: str, file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{variable(field)}={file}: cannot be read: {error.strerror or error}"
        ) from error
    if b"-----BEGIN " not in content:
        raise SettingsError(f"{variable(field)}={file}: is no PEM file")
    return content
