"""Running jobs: lanes, ledgers, executors, retries, the scheduler, dead letters, replay."""
