"""Which jars make this Kafka: their names, versions, sizes and SHA-256 checksums."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

_FILE = "jars.json"


@dataclass(frozen=True)
class Jar:
    """One pinned file. `size` is in bytes, `sha256` in hex."""

    group: str
    name: str
    version: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The name that Maven gives it."""
        return f"{self.name}-{self.version}.jar"

    def is_at(self, path: Path) -> bool:
        """Whether the file at this path is this jar, byte for byte."""
        try:
            return path.stat().st_size == self.size and sha256_of(path) == self.sha256
        except (FileNotFoundError, NotADirectoryError):
            return False


@dataclass(frozen=True)
class Pins:
    """Every jar of one version of Kafka, in classpath order."""

    kafka: str
    jars: tuple[Jar, ...]

    @property
    def size(self) -> int:
        """Bytes of all jars together."""
        return sum(jar.size for jar in self.jars)


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load() -> Pins:
    """The pins that this release of Headrace was tested with."""
    text = resources.files("headrace.pipeline.broker").joinpath(_FILE).read_text("utf-8")
    document = json.loads(text)
    return Pins(document["kafka"], tuple(Jar(**jar) for jar in document["jars"]))


def dump(kafka: str, jars: Iterable[Jar]) -> str:
    """The text of the pin file."""
    document = {"kafka": kafka, "jars": [asdict(jar) for jar in jars]}
    return json.dumps(document, indent=1) + "\n"
