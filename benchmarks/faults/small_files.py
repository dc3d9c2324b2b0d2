"""Damaged plans, curves, speeds, lists of levels and adapters: the small files of users."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.faults.damage import damaged
from benchmarks.faults.toy import VLM, pope
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge
from eyechart.codecs.checkpoints import LevelFile, add_level, digest
from eyechart.vlms.adapter_identity import CONFIG
from eyechart.zoo import adapter_dir

_TEXTS = (
    *("", " ", "-", "null", "~", "{}", "[]", "[[[[", "&a [*a]", "!!python/name:os.system", "0x10"),
    *("1e999", "-1", ".nan", "9" * 5000, "x" * 100_000, "[" * 5000, "{" * 5000, "\x00", "\x1b[2J"),
    *("!!timestamp x", "!!int a", "!!float a", "!!binary =", "!!set [a]", "!!omap 1", "!!bool 7"),
    *("!!pairs x", "!!python/object/apply:os.system [id]", '{"a": ' * 5000, '"a": 1, "a": 2,'),
    *("jpeg:levels=[1", "vvc:preset=", "'", '"', ": :", "\t", "a: b: c", "<<: *a", "\u2028", "/"),
)


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each kind of file."""
    import eyechart.adapters.package  # noqa: F401 - it loads torch; once, and not in every child

    data = pope(folder / "data", chance)
    plan = (
        f"title: Two codecs\nvlms: [{VLM}]\ntasks: [POPE]\ncodecs:\n  - source\n"
        f"  - codec: jpeg\n    levels: [1, 6]\n  - webp\ndata: {data}\nmax_images: 3\n"
    )
    curve = "bpp,score\n0.1,50\n0.2,60.5\n0.4,70\n0.9,72\n"
    rates = f"{VLM}:\n  image_s: 0.01\n  question_s: 0.001\n  hardware: here\n"
    weights = folder / "weights"
    weights.mkdir()
    for name in ("0.004", "0.008"):
        (weights / name).write_bytes(name.encode())  # stands for weights, which are not read
        level = LevelFile(
            name=name, knobs={"lambda": float(name)}, file=name, sha256=digest(weights / name)
        )
        add_level(weights, "elic", level, knob="lambda", rate="rises")
    levels = (weights / "levels.json").read_text()
    adapter = folder / "adapters" / "universal"
    shutil.copytree(adapter_dir("universal"), adapter)
    config = adapter / CONFIG
    file = folder / "plan.yaml"
    csv, speeds, listing = folder / "c.csv", folder / "r.yaml", weights / "levels.json"
    file.write_text(plan)
    codec = f"elic:weights={weights}"
    for row, path, text, told in (
        ("plan", file, plan, ("plan", file)),
        ("curve", csv, curve, ("bd", "--curve", csv, "--anchor", "80")),
        ("measured speeds", speeds, rates, ("plan", folder / "whole.yaml", "--rates", speeds)),
        ("list of levels", listing, levels, ("codec", "show", codec)),
        ("adapter", config, config.read_text(), ("adapter", "list", folder / "adapters")),
    ):
        (folder / "whole.yaml").write_text(plan)
        for _ in range(count):
            path.write_bytes(_spoilt(text, chance))
            ended = command(*told)
            refused = row == "adapter" and "adapter_config.json: " in ended.said  # in a list
            verdict = Verdict.refused if refused else Verdict.other
            yield judge(row, ended, partial(lambda verdict: verdict, verdict))


def _spoilt(text: str, chance: Random) -> bytes:
    if chance.random() < 0.5:
        return damaged(text.encode(), chance)
    words = re.split(r"([\s,]+)", text)  # the separators are every second one
    words[2 * chance.randrange(len(words) // 2)] = chance.choice(_TEXTS)
    return "".join(words).encode()
