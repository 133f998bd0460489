"""Which release of Headrace runs."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Give the version that is installed; `unknown` where none is."""
    try:
        return version("headrace")
    except PackageNotFoundError:
        return "unknown"
