"""The projector: reads transitions and records of jobs from Kafka, and writes the query store.

stream      what is read: topics, positions, batches of rows
projector   the loop: claim, read, write, go on
rebuilding  a new edition beside the one that serves, then the swap
"""
