"""`eyechart encode`: fills a run directory, and the run that follows finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

import eyechart
from eyechart.cli import run_args
from eyechart.store import Store

PLAN = ["--tasks", "POPE", "--data", "eyechart-mini", "--max-images", "5", "--workers", "0"]


def calls(log: Path) -> list[tuple[str, int, str]]:
    """Calls of a codec: encode or decode, images, device."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(what, int(images), device) for what, images, device in map(str.split, lines)]


def test_a_run_finds_what_was_encoded_ahead(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    plan = {
        "vlms": "eyechart-mini",
        "tasks": "POPE",
        "data": "eyechart-mini",
        "codecs": ["source", f"fake-neural:log={log}"],
        "max_images": 3,
    }
    assert eyechart.encode(plan, out=out, workers=0) == []
    assert Store(out).cells() == []
    ahead = calls(log)
    assert sum(images for what, images, _ in ahead if what == "encode") == 3
    assert eyechart.run(plan, out=out, workers=0).clean
    assert len(Store(out).cells()) == 2
    assert calls(log) == ahead  # nothing was encoded or decoded again


def test_encoding_ahead_needs_neither_vlms_nor_adapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "vlms: [./absent-vlm]\nadapters: [none, ./absent]\ntasks: [POPE]\ncodecs: [jpeg]\n"
    )
    command = [str(plan), "--max-images", "1", "--workers", "0", "--out", "out"]
    assert run_args(["encode", *command]) == 0
    assert len(list((tmp_path / "out" / "bitstreams").rglob("*.*"))) > 0
    assert run_args(["run", *command]) == 2


def test_a_second_call_encodes_nothing_and_a_larger_plan_only_what_is_new(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    command = ["encode", "--codecs", f"fake-neural:log={log}", "--out", str(out), *PLAN]
    assert run_args(command) == 0
    first = calls(log)
    assert run_args(command) == 0
    assert calls(log) == first
    assert run_args([*command, "--max-images", "7"]) == 0
    new = calls(log)[len(first) :]
    assert sum(images for what, images, _ in new if what == "encode") == 2


@pytest.mark.parametrize("verb", ["encode", "run"])
def test_device_and_batch_of_the_command_line_reach_the_codec(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    log, out = tmp_path / "log", tmp_path / "out"
    command = [verb, "--codecs", f"fake-neural:log={log}", "--out", str(out), *PLAN]
    command += ["--codec-device", "mps", "--codec-batch", "2"]
    command += ["--vlm", "eyechart-mini", "--no-report"] if verb == "run" else []
    assert run_args(command) == 0
    made = calls(log)
    assert {device for *_, device in made} == {"mps"}
    assert [images for what, images, _ in made if what == "encode"] == [2, 2, 1]


def test_images_that_fail_are_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = f"fake-codec:bad_images={list(range(256))}".replace(" ", "")
    command = ["encode", "--codecs", codec, "--out", str(tmp_path), *PLAN]
    assert run_args(command) == 1
    shown = capsys.readouterr()
    assert "10 images failed" in shown.out
    assert "fake level low image" in shown.err


@pytest.mark.parametrize("device", ["map", "cuda:99"])
@pytest.mark.parametrize(
    "command", ["encode {plan} --out out", "run {plan} --out out", "codec bench . --codec {codec}"]
)
def test_a_device_that_codecs_cannot_use_is_refused_before_anything_is_written(
    command: str,
    device: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    codec = "fake-neural:log=log"
    plan = " ".join(["--codecs", codec, *PLAN])
    args = command.format(plan=plan, codec=codec).split()
    assert run_args([*args, "--codec-device", device]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"device '{device}'" in line
    assert list(tmp_path.iterdir()) == []
