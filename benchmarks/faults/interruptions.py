"""Ctrl-C at a random moment between the start and the end of a command, for its whole group.

Python itself prints a traceback if Ctrl-C comes before it runs the command; tries begin after that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.faults.toy import VLM, pope, run_arguments
from benchmarks.faults.trial import LIMIT_S, FaultTrial, FinishedCall, Verdict, command, judge
from eyechart.core.images import encode_png

_CODE = "from eyechart.__main__ import main; print(flush=True); main()"
_GONE_S = 10.0  # for processes that see that the command has ended

# OUT: a new name for each try. The codecs are one without and one with weights.
COMMANDS = {
    "codec bench": "photos --codec jpeg,elic-mini",
    "check": f"photos --vlm {VLM} --codecs jpeg:30 --workers 2 --out OUT",
    "run": "plan.yaml --data data --workers 2 --out OUT",
    "report": "finished",
    "quality": "finished --metrics psnr --workers 2",
    "codec train": "elic-mini photos --lambda 0.01 --steps 3 --batch 2 --crop 64 --held-out 1 "
    "--threads 1 --out OUT",
    "adapter train": "photos --codecs jpeg --steps 2 --validation-images 1 --out OUT",
}


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` interruptions of each command."""
    pope(folder / "data", chance, images=6)
    (folder / "photos").mkdir()
    noise = np.random.default_rng(chance.randrange(1 << 32))
    for number in range(3):
        image = encode_png(noise.integers(0, 256, (128, 128, 3), np.uint8))
        (folder / "photos" / f"{number}.png").write_bytes(image)
    (folder / "plan.yaml").write_text(
        f"vlms: {VLM}\ntasks: POPE\ncodecs: [source, jpeg, elic-mini]\n"
    )
    assert command(*run_arguments(folder / "data", folder / "finished")).code == 0
    for row, arguments in COMMANDS.items():
        whole = _interrupted(row, arguments, folder, "whole", LIMIT_S)
        assert whole.code == 0, whole.said
        for number in range(count):
            after_s = chance.uniform(0, 1.02 * whole.took_s)
            ended = _interrupted(row, arguments, folder, f"try{number}", after_s)
            yield judge(row, ended, lambda: Verdict.right)


def _interrupted(verb: str, arguments: str, folder: Path, out: str, after_s: float) -> FinishedCall:
    """A command that gets SIGINT so many seconds after it has begun, unless it has ended."""
    for made in ("analysis.json", "report.html"):  # so that there is something to do
        (folder / "finished" / made).unlink(missing_ok=True)
    shutil.rmtree(folder / "finished" / "quality", ignore_errors=True)
    out = f"{verb.replace(' ', '-')}-{out}"
    given = [*verb.split(), *arguments.replace("OUT", out).split()]
    paths = os.pathsep.join([str(folder), *map(os.path.abspath, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", _CODE, *given],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    start_s = time.monotonic()
    code: int | None = None
    said = ""
    try:
        said, _ = child.communicate(timeout=after_s)
        code = child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            said, _ = child.communicate(timeout=LIMIT_S)
            code = child.returncode
    took_s = time.monotonic() - start_s
    if not _is_gone(child.pid):
        code, said = None, "its processes are left over"
    child.wait()
    return FinishedCall(code=code, said=said, took_s=took_s, peak_mb=0.0)


def _is_gone(group: int) -> bool:
    """Whether all processes of a group end in time; they are ended otherwise."""
    with suppress(ProcessLookupError):
        end_s = time.monotonic() + _GONE_S
        while time.monotonic() < end_s:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
        return False
    return True
