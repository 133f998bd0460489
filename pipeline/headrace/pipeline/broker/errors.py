"""Every error of the embedded broker.

BrokerError                 catch this to catch all of them; says what happened and what to do
├── ExtraMissingError       the Python packages of the extra `kafka` are not installed
├── JavaError               no Java of version 17 or newer runs here
├── DownloadError           the jars of Kafka could not be fetched
│   └── ChecksumError       a jar is not the one that this release of Headrace pins
├── DirectoryError          the broker's directory cannot be used
│   └── DiskFullError       too little space is left on its disk
├── StateFileError          `kafka.json` cannot be understood
├── DataVersionError        the data was written by a newer Kafka
├── DataInUseError          another process holds the data
├── AlreadyRunningError     it runs already, with other options than those asked for
├── PortInUseError          another process listens on the port
├── CertificateError        openssl is missing, or made no certificate
├── SecuredError            the broker asks who comes, and nobody said who
└── StartError              the broker ended before it was ready
    └── StartTimeoutError   the broker lives, but did not become ready in time
"""

from headrace.schemas.errors import HeadraceError


class BrokerError(HeadraceError):
    """The embedded broker could not do what was asked.

    Attributes:
        what: what happened, to what.
        remedy: what to do next.
    """

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what, remedy)

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class ExtraMissingError(BrokerError):
    """The Python packages of the extra `kafka` are not installed."""


class JavaError(BrokerError):
    """No Java of version 17 or newer runs here. The message lists what was found."""


class DownloadError(BrokerError):
    """The jars of Kafka could not be fetched. What was fetched is kept for the next try."""


class ChecksumError(DownloadError):
    """A jar is not the one that this release of Headrace pins. It is not used and not kept."""


class DirectoryError(BrokerError):
    """The broker's directory, or the cache of jars, cannot be written."""


class DiskFullError(DirectoryError):
    """Too little space is left on the disk of the broker's directory or of the cache."""


class StateFileError(BrokerError):
    """`kafka.json` is not what the broker wrote. The data beside it is untouched."""


class DataVersionError(BrokerError):
    """The data was written by a newer Kafka than this release of Headrace runs."""


class DataInUseError(BrokerError):
    """Another process, most likely a broker whose state file was lost, holds the data."""


class AlreadyRunningError(BrokerError):
    """The broker of this directory runs already, on another port than the one asked for."""


class PortInUseError(BrokerError):
    """Another process listens on the port that the broker was told to use.

    Attributes:
        port: the port.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(
            f"port {port} on 127.0.0.1 is in use by another process",
            f"stop that process (`lsof -i :{port}` names it) or choose another port, "
            "or none to get a free one",
        )


class CertificateError(BrokerError):
    """No certificate could be made: openssl is missing, or failed. What it said is in the message."""


class SecuredError(BrokerError):
    """The broker of this directory asks its clients who they are, and the caller would not say."""


class StartError(BrokerError):
    """The broker ended before it was ready. The message ends with the last lines of its log."""


class StartTimeoutError(StartError):
    """The broker's process lives, but did not serve clients in time. It was ended."""
