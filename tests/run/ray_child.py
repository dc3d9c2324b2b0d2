"""DATA OUT ADDRESS: a run on Ray that kills itself after two batches."""

from __future__ import annotations

import os
import signal
import sys

from benchmarks.faults import toy
from eyechart import api
from eyechart.api.progress import Tally
from eyechart.runner.progress import SilentProgress


class Killer(SilentProgress):
    batches = 0

    def advance(self, where: str, tally: Tally) -> None:
        self.batches += 1
        if self.batches == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    data, out, address = sys.argv[1:]
    plan = {"vlms": toy.VLM, "tasks": "POPE", "codecs": ["source", "jpeg"]}
    api.run(plan, out=out, data=data, ray=address, batch=3, progress=Killer())


if __name__ == "__main__":
    main()
