"""What a submission and a job cost in bytecode instructions: `python -m benchmarks.hot_path`.

A count is the same on a busy machine as on a quiet one, so it can be compared from one change to the
next. It knows nothing of what C code costs: for that, and for seconds, there is `benchmarks.quick`.
The code that is counted is the real one; only Kafka's clients are replaced, by ones that answer at
once, and the worker's threads by one.
"""
