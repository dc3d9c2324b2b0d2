"""Tesseract, an OCR program, as a VLM: it answers every question with the text in the image.

A reader that was not trained here and knows no scenes, for text tasks and the acuity chart.
Debian and Ubuntu: `apt-get install tesseract-ocr`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

from eyechart.core.errors import InputError, PluginError, VLMError, one_line
from eyechart.core.images import encode_png
from eyechart.core.types import Answer, Decoding, Json, Request

PROGRAM = "tesseract"
_PAGE_MODES = range(3, 14)  # 0 to 2 do not read text
_TIMEOUT_S = 120.0
_VERSION_TIMEOUT_S = 30.0
_SETUP = "install it (Debian: apt-get install tesseract-ocr; macOS: brew install tesseract)"


class Tesseract:
    """The program of that name on the path.

    language: one or several of `tesseract --list-langs`, as in `eng+deu`. psm: page segmentation
    mode, 3 (pages) to 13 (raw line); 6 is a block of text, 7 a line, 10 a character.

    Raises:
        InputError: an option that is not allowed.
    """

    name = "tesseract"
    family = "ocr"
    run_options: ClassVar[tuple[()]] = ()

    def __init__(self, *, language: str = "eng", psm: int = 6) -> None:
        if not language or language.startswith("-") or not language.replace("+", "").isidentifier():
            raise InputError(f"tesseract: language {language!r}; allowed: names, as in eng+deu")
        if type(psm) is not int or psm not in _PAGE_MODES:
            raise InputError(f"tesseract: psm {psm!r}; allowed: 3 to 13")
        self._language, self._psm = language, psm

    @property
    def options(self) -> Mapping[str, Json]:
        return {"language": self._language, "psm": self._psm}

    @cached_property
    def version(self) -> str:
        """Version of the program. Raises PluginError if it is not here."""
        if shutil.which(PROGRAM) is None:
            raise PluginError(f"tesseract: the program is not on the path; {_SETUP}")
        try:
            said = subprocess.run(
                [PROGRAM, "--version"],
                capture_output=True,
                check=True,
                timeout=_VERSION_TIMEOUT_S,
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise PluginError(f"tesseract: cannot be run ({one_line(error)})") from error
        return said.decode("utf-8", "replace").partition("\n")[0].removeprefix(PROGRAM).strip()

    def check(self) -> None:
        """Check that the program and the languages are installed; reads no image.

        Raises:
            PluginError: no program. InputError: a language is missing. VLMError: the program fails.
        """
        self.version  # noqa: B018 - raises if the program is not here
        listed = self._run(["--list-langs"], b"")
        missing = set(self._language.split("+")) - set(listed.split())
        if missing:
            raise InputError(
                f"tesseract: no language {', '.join(sorted(missing))} is installed; "
                "tesseract --list-langs lists them"
            )

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """The text in each image, for each of its questions.

        Raises:
            InputError: choice-set decoding. PluginError: no program. VLMError: it failed.
        """
        if decoding.choice_set:
            raise InputError("tesseract: choice-set decoding is impossible; allowed: free answers")
        self.version  # noqa: B018 - raises if the program is not here
        return [[self._read(request)] * len(request.prompts) for request in requests]

    def _read(self, request: Request) -> Answer:
        given = ["stdin", "stdout", "-l", self._language, "--psm", str(self._psm), "--dpi", "96"]
        text = self._run(given, encode_png(request.image, fast=True))
        return Answer(text=text.strip(), tokens=len(text.split()))

    def _run(self, arguments: Sequence[str], feed: bytes) -> str:
        try:
            done = subprocess.run(
                [PROGRAM, *arguments],
                input=feed,
                capture_output=True,
                check=False,
                timeout=_TIMEOUT_S,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # threads make small images slower
            )
        except subprocess.TimeoutExpired as error:
            raise VLMError(f"tesseract: no text within {_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise VLMError(f"tesseract: cannot be run ({error.strerror})") from error
        if done.returncode:
            said = one_line(done.stderr.decode("utf-8", "replace"), 200)
            raise VLMError(f"tesseract: failed with exit code {done.returncode} ({said})")
        return done.stdout.decode("utf-8", "replace")
