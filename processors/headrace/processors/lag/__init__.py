"""How far behind a pipeline is: measured, judged, counted ahead of what falls due, and exported.

snapshot   where topics begin and end, how far groups are      (`processors/snapshot.py`)
counting   what waits in the delay tiers, by lane and due time (`due_counts.py`, `due_reader.py`)
heads      how old the oldest job is, from its own record      (`heads.py`)
hidden     what stands behind transactions that nobody ends   (`open_transactions.py`)
observing  what moved between two looks: rates, last progress  (`observing.py`)
judging    a verdict in words                                  (`verdicts.py`)
telling    the report, the command, the exporter               (`report.py`, `exported.py`)
"""
