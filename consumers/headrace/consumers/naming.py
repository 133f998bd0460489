"""Names of processes, so that one is told apart from all others."""

import os
import socket
import uuid


def process_name() -> str:
    """Name this process: host, pid, and some chance against a reused pid."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
