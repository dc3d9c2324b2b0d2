"""Tesseract as a VLM: with the program where it is installed, and without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from eyechart.cli import run_args
from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import Decoding, Request, Rgb8
from eyechart.store import Store
from eyechart.vlms import open_vlm
from eyechart.vlms.tesseract import Tesseract

installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs tesseract")


def page(text: str) -> Rgb8:
    image = Image.new("RGB", (320, 80), "white")
    ImageDraw.Draw(image).text((20, 20), text, "black", ImageFont.load_default(36))
    return np.asarray(image)


@installed
def test_it_answers_with_the_text() -> None:
    vlm = open_vlm("tesseract")
    asked = [
        Request(image=page("EXIT 42"), prompts=("What is written?", "And again?")),
        Request(image=np.full((40, 40, 3), 255, np.uint8), prompts=("What?",)),
    ]
    first, second = vlm.answer(asked, Decoding())
    assert [answer.text for answer in first] == ["EXIT 42"] * 2
    assert [answer.text for answer in second] == [""]
    assert vlm.family == "ocr"
    assert vlm.version[0].isdigit()


@installed
def test_it_reads_the_acuity_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "run --vlm tesseract --tasks Acuity:rows=1 --codecs source --workers 0 --no-report"
    assert run_args([*given.split(), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run_args(["table", "scores", str(tmp_path), "--format", "csv"]) == 0
    shown = capsys.readouterr().out
    assert "letters 1, px" in shown
    assert len(Store(tmp_path).cells()[0].records()) == 36  # not a sample, as for other tasks


@installed
def test_a_language_that_is_not_installed_is_one_line() -> None:
    with pytest.raises(InputError, match="no language xx is installed"):
        Tesseract(language="eng+xx").check()


def test_without_the_program_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PluginError, match="Debian: apt-get install tesseract-ocr"):
        Tesseract().check()


@pytest.mark.parametrize("options", [{"psm": 0}, {"psm": True}, {"language": "--eng"}])
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="allowed"):
        Tesseract(**options)  # type: ignore[arg-type]


def test_choice_sets_are_refused() -> None:
    with pytest.raises(InputError, match="free answers"):
        Tesseract().answer([], Decoding(choice_set=True))
