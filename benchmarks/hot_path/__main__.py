"""Print the counts, those of the costliest functions first."""

from collections import Counter

from benchmarks.hot_path.paths import drained, submitted

_JOBS = 500
_SHOWN = 45


def main() -> None:
    """Count and print."""
    tell("submit", submitted(_JOBS))
    tell("drain", drained(_JOBS))


def tell(name: str, found: Counter[str]) -> None:
    """Print what a job costs in all, and where."""
    print(f"{name}: {found.total() / _JOBS:,.1f} bytecode instructions a job")
    for function, number in found.most_common(_SHOWN):
        print(f"{number / _JOBS:10.1f}  {function}")


if __name__ == "__main__":
    main()
