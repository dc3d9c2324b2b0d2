"""DATA URL: a run that kills itself when the answers of its first batches are uploaded."""

from __future__ import annotations

import os
import signal
import sys
import time

from benchmarks.faults import toy
from eyechart import api
from eyechart.api.progress import Tally
from eyechart.runner.progress import SilentProgress
from eyechart.store.bucket import open_bucket
from eyechart.store.remote import writing


class Killer(SilentProgress):
    def __init__(self, url: str) -> None:
        self._bucket, self._batches = open_bucket(url), 0

    def advance(self, where: str, tally: Tally) -> None:
        self._batches += 1
        if self._batches < 3:
            return
        while not any(name.endswith("records.jsonl") for name in self._bucket.list()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    data, url = sys.argv[1:]
    plan = {"vlms": toy.VLM, "tasks": "POPE", "codecs": ["source", "jpeg"]}
    with writing(url, every_s=0.1) as folder:
        api.run(plan, out=folder, data=data, workers=0, batch=6, progress=Killer(url))


if __name__ == "__main__":
    main()
