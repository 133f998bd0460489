"""A certificate authority for one embedded broker, and the certificates that it signs.

Made with `openssl`, once; keys are readable for their owner alone. Everything is for 127.0.0.1, and for
development: who can read the folder can be anybody on this broker.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.pipeline.broker.errors import CertificateError
from headrace.pipeline.broker.layout import make_writable

_DAYS: Final = "3650"
_PRIVATE: Final = 0o600
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
# Python's strict verification (3.13) asks an authority for all three, and a certificate for the last
_AUTHORITY: Final = """\
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""
_SIGNED: Final = """\
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = IP:127.0.0.1,DNS:localhost
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority of a folder. What was made once is found again.

    Attributes:
        folder: Where keys and certificates are kept.
    """

    folder: Path

    @property
    def certificate(self) -> Path:
        """What others check certificates against."""
        return self.folder / "ca.crt"

    def establish(self) -> None:
        """Make the folder and the authority, unless they are there.

        Raises:
            CertificateError: openssl is missing, or could not.
            DirectoryError: The folder cannot be written.
        """
        make_writable(self.folder)
        self.folder.chmod(0o700)
        if self.certificate.exists():
            return
        with self._workshop() as place:
            work = Path(place)
            (work / "ca.conf").write_text(_AUTHORITY)
            request = ("req", "-x509", "-config", "ca.conf", *_KEY, "-days", _DAYS)
            _openssl(work, *request, "-subj", "/CN=headrace", "-keyout", "ca.key", "-out", "ca.crt")
            self._keep(work, "ca")

    def issued(self, name: str) -> tuple[Path, Path]:
        """Give the certificate and the key of a name.

        Raises:
            CertificateError: openssl is missing, or could not.
        """
        found = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not found[0].exists():
            with self._workshop() as place:
                self._sign(Path(place), name)
                self._keep(Path(place), name)
        return found

    def keystore(self, name: str) -> Path:
        """Give a file with the key and the certificate of a name, as Kafka reads them."""
        certificate, key = self.issued(name)
        store = self.folder / f"{name}.pem"
        store.touch(_PRIVATE)
        store.write_text(key.read_text() + certificate.read_text())
        return store

    def _sign(self, work: Path, name: str) -> None:
        (work / "req.conf").write_text("[req]\ndistinguished_name = name\n[name]\n")
        (work / "signed.conf").write_text(_SIGNED)
        request = ("req", "-new", "-config", "req.conf", *_KEY, "-subj", f"/CN={name}")
        _openssl(work, *request, "-keyout", f"{name}.key", "-out", "request")
        authority = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"))
        number = ("-CAserial", "serial", "-CAcreateserial")
        extensions = ("-extfile", "signed.conf", "-days", _DAYS)
        what = ("x509", "-req", "-in", "request", *authority, *number, *extensions)
        _openssl(work, *what, "-out", f"{name}.crt")

    def _workshop(self) -> "tempfile.TemporaryDirectory[str]":
        """Give a folder beside the others, so that only whole files come among them."""
        return tempfile.TemporaryDirectory(dir=self.folder)

    def _keep(self, work: Path, name: str) -> None:
        """Move a pair to its place, the certificate last: where it is, the key is too."""
        (work / f"{name}.key").chmod(_PRIVATE)
        for ending in ("key", "crt"):
            (work / f"{name}.{ending}").replace(self.folder / f"{name}.{ending}")


def _openssl(work: Path, *arguments: str) -> None:
    tool = shutil.which("openssl")
    if tool is None:
        raise CertificateError(
            "certificates are made with openssl, which is not in PATH",
            "install it (Debian: apt install openssl), or start the broker without --security",
        )
    done = subprocess.run(  # noqa: S603  (found above)
        [tool, *arguments],
        cwd=work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise CertificateError(
            f"{tool} {arguments[0]} could not make a certificate (exit code {done.returncode})",
            f"see what it said:\n{done.stderr.strip()}",
        )
