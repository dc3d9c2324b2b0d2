"""A run of real codecs in two workers with a toy VLM, for tests that stop it: DATA OUT."""

from __future__ import annotations

import signal
import sys

from run_fakes import FakeVLM

from eyechart import vlms
from eyechart.cli import run_args


def main() -> int:
    # A background job is started with Ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    toy = FakeVLM(name="toy")
    vlms.open_vlm = lambda name, **options: toy
    vlms.vlm_names = lambda: ["toy"]
    data, out = sys.argv[1:]
    options = ["--vlm", "toy", "--tasks", "POPE", "--data", data, "--codecs", "jpeg,webp,avif"]
    sys.stdout.write("started\n")
    sys.stdout.flush()
    return run_args(["run", *options, "--out", out, "--workers", "2", "--no-report"])


if __name__ == "__main__":
    sys.exit(main())
