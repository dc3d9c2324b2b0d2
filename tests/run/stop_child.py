"""A run of real codecs in two workers with a toy VLM, for tests that stop it.

DATA OUT [QUESTIONS ERROR]: after so many questions each one raises an error of that class.
"""

from __future__ import annotations

import signal
import sys

from run_fakes import FakeVLM

from eyechart import vlms
from eyechart.__main__ import main as eyechart
from eyechart.core.errors import EyechartError, UnusableVLMError, VLMError
from eyechart.core.types import Request

ERRORS: dict[str, EyechartError] = {
    "unusable": UnusableVLMError("toy: the quota is used up"),
    "no-reply": VLMError("toy: no reply", retryable=True),
}


class GivesUp:
    """Raises an error after some questions, and says so the first time."""

    def __init__(self, questions: int, error: EyechartError) -> None:
        self._left, self._error, self._said = questions, error, False

    def __call__(self, request: Request) -> None:
        self._left -= len(request.prompts)
        if self._left >= 0:
            return
        if not self._said:
            sys.stdout.write("gives up\n")
            sys.stdout.flush()
            self._said = True
        raise self._error


def main() -> None:
    # A background job is started with Ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data, out, *gives_up = sys.argv[1:]
    refuse = GivesUp(int(gives_up[0]), ERRORS[gives_up[1]]) if gives_up else None
    toy = FakeVLM(name="toy", refuse=refuse)
    vlms.open_vlm = lambda name, **options: toy
    vlms.vlm_names = lambda: ["toy"]
    options = ["--vlm", "toy", "--tasks", "POPE", "--data", data, "--codecs", "jpeg,webp,avif"]
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.argv = ["eyechart", "run", *options, "--out", out, "--workers", "2", "--no-report"]
    eyechart()


if __name__ == "__main__":
    main()
