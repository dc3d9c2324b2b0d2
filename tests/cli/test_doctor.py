"""The command `eyechart doctor`, above all with few packages installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.types import Bitstream, Json, Level, Rgb8
from eyechart.runner import readiness
from eyechart.vlms import families, openai_chat


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing optional is installed, no data set, no key."""
    for module in (readiness, families, openai_chat):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    for variable in ("EYECHART_DATA", "LMUData", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for part in ("ENCODER", "DECODER", "CFG"):
        monkeypatch.delenv(f"EYECHART_HM_{part}", raising=False)
    return iter(())


def names(monkeypatch: pytest.MonkeyPatch, **groups: list[str]) -> None:
    monkeypatch.setattr(plugins, "names", lambda group: groups.get(group.split(".")[1], []))


@pytest.mark.usefixtures("bare")
def test_it_runs_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names(monkeypatch, codecs=["jpeg", "hm"], tasks=["POPE"], families=["gpt-4o", "qwen2_5_vl"])
    assert run_args(["doctor"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "jpeg ready levels 1, 3, 5, 6" in shown
    assert "hm missing no encoder; set EYECHART_HM_ENCODER" in shown
    assert "peft missing" in shown
    assert "gpt-4o missing pip install 'eyechart[openai]'" in shown
    assert "qwen2.5-vl-3b missing pip install 'eyechart[vlm]'" in shown
    assert "GPU missing not looked for: torch is not installed" in shown


@pytest.mark.usefixtures("bare")
def test_every_missing_package_has_an_install_command() -> None:
    for finding in readiness.packages():
        assert finding.state == "missing"
        assert "pip install 'eyechart[" in finding.detail


class Shrinking:
    name, version = "shrinking", "1"
    options: Mapping[str, Json] = {}
    levels = (Level(name="1", rank=0, knobs={}),)

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        return Bitstream(payload=b"", height_px=1, width_px=1)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return np.zeros((1, 1, 3), np.uint8)


def test_a_codec_that_returns_another_size_ends_with_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names(monkeypatch, codecs=["shrinking"])
    monkeypatch.setattr(plugins, "load", lambda group, name: Shrinking())
    assert run_args(["doctor"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "decoded to uint8 (1, 1, 3) instead of uint8 (64, 64, 3)" in shown
    assert "shrinking broken" in shown


def test_missing_data_names_the_searched_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(group: str, name: str) -> Any:
        raise InputError("no POPE.tsv in /data ($LMUData); get it from there")

    names(monkeypatch, tasks=["POPE"])
    monkeypatch.setattr(plugins, "load", load)
    (finding,) = readiness.tasks()
    assert (finding.name, finding.state) == ("POPE", "missing")
    assert "/data ($LMUData)" in finding.detail


def test_half_a_download_or_a_key_of_another_server_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    for size, weights in (("1B", False), ("2B", True)):
        cached = tmp_path / f"models--OpenGVLab--InternVL3-{size}-hf" / "snapshots" / "abc"
        cached.mkdir(parents=True)
        (cached / "config.json").write_text("{}")
        if weights:
            (cached / "model.safetensors").write_bytes(b"")
    found = {finding.name: finding for finding in readiness.vlms()}
    assert found["internvl3-2b"].state == "ready"
    assert found["internvl3-1b"].state == "missing"
    assert found["internvl3-1b"].detail == "hf download OpenGVLab/InternVL3-1B-hf"
    assert found["gpt-4o"].state == "ready"
    assert found["qwen-vl-chat"].state == "missing"
