"""How a worker process lives: not ended by Ctrl-C, and never longer than the process it serves."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection


def serve_only(parent: Connection) -> None:
    """Call first in a worker. parent: the reading end of a pipe whose other end the parent holds.

    Ctrl-C reaches the whole group of processes, and the parent decides what to finish. The pipe
    closes when the parent is done, when it gives up, and when it is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """Nothing is ever sent: the pipe becomes readable when its other end is closed."""
    parent.poll(None)
    os._exit(1)
