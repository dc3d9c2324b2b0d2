"""Own images: questions about the user's photographs, scored by agreement with a reference answer.

The reference is a known answer, or what the same VLM says about the uncompressed image
(`eyechart check`). The file is CSV with the columns image (a path, from the file's folder),
question and answer, and perhaps category. Images are turned upright, as other programs show them.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from eyechart.core.errors import ImageError, InputError
from eyechart.core.files import read_limited
from eyechart.core.foreign import read_csv
from eyechart.core.hooks import RunOption, TaskFile
from eyechart.core.images import read_image
from eyechart.core.types import Floats, ImageSums, Json, Question, Rgb8, Score
from eyechart.tasks.matching import agreement, normalized
from eyechart.tasks.sampling import by_image

FILE = "questions.csv"
_MOST_BYTES = 64 << 20
_MOST_IMAGE_BYTES = 1 << 30


class OwnImages:
    """Questions about own images.

    data: the CSV file, or a folder with questions.csv. max_images: use this many of the images.
    """

    name = "OwnImages"
    headline_metric = "Agreement, %"
    run_options: ClassVar[tuple[RunOption, ...]] = ("data",)
    options: Mapping[str, Json] = {}

    def __init__(self, data: str | None = None, *, max_images: int | None = None) -> None:
        if max_images is not None and (type(max_images) is not int or max_images < 1):
            raise InputError(f"OwnImages: max_images {max_images!r} is not a count of 1 or more")
        self._data, self.max_images = data, max_images

    @property
    def version(self) -> str:
        """Version of prompts and rules, and a digest of questions and images. Raises InputError."""
        return f"2+{self._digest[:16]}"

    @property
    def path(self) -> Path:
        """The CSV file. Raises InputError if there is none."""
        place = Path(self._data or ".").expanduser()
        path = place / FILE if place.is_dir() else place
        if not self._data or not path.is_file():
            raise InputError(
                f"OwnImages: no {FILE} in {self._data or 'the built-in data'}; `eyechart check "
                "FOLDER` writes one"
            )
        return path

    def data_file(self) -> TaskFile:
        """See `core.hooks.HasFile`."""
        try:
            return TaskFile(path=self.path, origin="data")
        except InputError:
            return TaskFile(path=None)

    def describe_file(self) -> Mapping[str, str]:
        """See `core.hooks.HasFile`."""
        return {"without an answer": f"{sum(not q.answer for q in self.questions())} questions"}

    def questions(self) -> tuple[Question, ...]:
        """All questions, in file order. Raises InputError."""
        chosen = by_image(self._rows, self.max_images)
        ids = {question.id for _, its in chosen for question in its}
        return tuple(question for question in self._rows if question.id in ids)

    def image(self, key: str) -> Rgb8:
        """Read one image, turned upright. Raises ImageError."""
        return read_image(self.file_of(key))

    def image_bytes(self, key: str) -> bytes:
        """See `core.hooks.HasImageBytes`. Raises ImageError."""
        return read_limited(self.file_of(key), _MOST_IMAGE_BYTES, error=ImageError)

    def file_of(self, key: str) -> Path:
        """The file of an image."""
        return self.path.parent / key

    def check_images(self, keys: Iterable[str]) -> None:
        """See `core.hooks.HasImageFiles`. Raises InputError."""
        missing = [key for key in dict.fromkeys(keys) if not self.file_of(key).is_file()]
        if missing:
            raise InputError(f"{self.path}: {len(missing)} images are missing, first {missing[0]}")

    def prompt(self, question: Question, vlm_family: str) -> str:
        return question.text

    def max_new_tokens(self, question: Question) -> int:
        return 64

    def score(self, question: Question, answer: str) -> Score:
        """The agreement with the reference; 0 without one."""
        return Score(
            question_id=question.id,
            value=agreement(question.answer, answer, question.text) if question.answer else 0.0,
            parsed_answer=normalized(answer),
            parsed=bool(answer.strip()),
        )

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        """The mean agreement in percent, in all and by category."""
        category = {question.id: question.category for question in self._rows}
        groups: dict[str, list[float]] = {self.headline_metric: []}
        for score in scores:
            groups[self.headline_metric].append(score.value)
            if category.get(score.question_id):
                groups.setdefault(category[score.question_id], []).append(score.value)
        return {
            name: 100 * sum(values) / len(values) if values else 0.0
            for name, values in groups.items()
        }

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        image = {question.id: question.image for question in self._rows}
        sums: dict[str, list[float]] = {}
        for score in scores:
            own = sums.setdefault(image[score.question_id], [0.0, 0.0])
            own[0] += score.value
            own[1] += 1
        return ImageSums(images=tuple(sums), sums=np.array(list(sums.values())).reshape(-1, 2))

    def headline(self, sums: Floats) -> Floats:
        right, asked = sums[..., 0], sums[..., 1]
        return np.where(asked > 0, 100 * right / np.where(asked > 0, asked, 1), 0.0)

    @cached_property
    def _rows(self) -> tuple[Question, ...]:
        return tuple(read_questions(self.path))

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for question in self._rows:
            digest.update(repr((question.image, question.text, question.answer)).encode())
        self.check_images(question.image for question in self._rows)
        for key in dict.fromkeys(question.image for question in self._rows):
            digest.update(hashlib.sha256(self.image_bytes(key)).digest())
        return digest.hexdigest()


def read_questions(path: Path) -> list[Question]:
    """The questions of a CSV file; an answer may be empty.

    Raises:
        InputError: as `read_csv`; a row without an image or a question; no rows.
    """
    return [question for _, question in numbered_questions(path)]


def numbered_questions(path: Path) -> list[tuple[int, Question]]:
    """As `read_questions`, each with its line. Raises InputError."""
    rows = read_csv(path, ("image", "question"), _MOST_BYTES, optional=("answer", "category"))
    questions = []
    for number, (line, row) in enumerate(rows):
        image, asked = ((row[name] or "").strip() for name in ("image", "question"))
        if not image or not asked:
            raise InputError(f"{path}: line {line} has no {'question' if image else 'image'}")
        question = Question(
            id=str(number),
            image=image,
            text=asked,
            answer=(row.get("answer") or "").strip(),
            category=(row.get("category") or "").strip(),
            group=str(number),
        )
        questions.append((line, question))
    if not questions:
        raise InputError(f"{path}: no questions")
    return questions


def write_questions(questions: Iterable[Question]) -> bytes:
    """The questions as the CSV file that `read_questions` reads."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("image", "question", "answer", "category"))
    writer.writerows((q.image, q.text, q.answer, q.category) for q in questions)
    return buffer.getvalue().encode()
