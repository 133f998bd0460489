"""The query store: what became of every job, in SQL, made from Kafka and made anew at any time.

    rows        evidence → rows, and which of two rows of a job is the later one
    row_types   rows as they are written and read
    tables      the tables of one edition of the store
    engine      opening a database: SQLite or PostgreSQL, its version, its errors
    migrating   bringing an older database to this version
    editions    which edition serves, who writes to it
    writing     a batch of rows and its stream positions, in one transaction
    keeping     what is old goes, and stays counted
    reading     lists, single jobs, totals

Decision 14 says why it is merged as it is.
"""
