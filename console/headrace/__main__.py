"""`python -m headrace`: the same as the `headrace` command."""

from headrace.console.main import run

if __name__ == "__main__":
    run()
