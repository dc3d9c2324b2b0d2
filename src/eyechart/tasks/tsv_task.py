"""A benchmark's rules and a data file, put together into a Task.

    rules (pure: pope.py, gqa.py, ...)  +  a TSV file (table.py)  ->  TsvTask, a core Task

Nothing is opened before the first question, image or version is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from eyechart.core.errors import InputError
from eyechart.core.images import decode_image
from eyechart.core.types import Floats, ImageSums, Json, Question, Rgb8, Score, choices_of
from eyechart.tasks.sampling import by_image
from eyechart.tasks.sheet import Sheet
from eyechart.tasks.sources import Found, OfficialFile, find
from eyechart.tasks.table import Row, Table, read_table
from eyechart.tasks.tsv import row_error


class Rules(Protocol):
    """What makes one benchmark differ from the next. Pure: no files, no state.

    version: of prompts and questions, not of the scorer. columns: needed beside index and image.
    official: the benchmark's files, preferred first. statistics_size: the k of `statistics`.
    Rules whose headline adds up parts also have `strata`, from the images with all that is asked of
    them to the stratum of each (`core.types.ImageSums`).
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def headline_metric(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def official(self) -> tuple[OfficialFile, ...]: ...
    @property
    def statistics_size(self) -> int: ...

    def question(self, row: Row) -> Question:
        """A row as a question. Raises ValueError where the row makes no sense."""
        ...

    def prompt(self, question: Question, vlm_family: str) -> str: ...
    def max_new_tokens(self, question: Question) -> int: ...
    def score(self, question: Question, answer: str) -> Score: ...
    def summarize(self, sheet: Sheet) -> dict[str, float]: ...

    def statistics(self, sheet: Sheet) -> list[tuple[str, list[float]]]:
        """(image, k numbers) pairs; their sums over any images make the headline metric."""
        ...

    def headline(self, sums: Floats) -> Floats: ...


class TsvTask:
    """A benchmark over one file.

    data: a folder or a TSV file, or "eyechart-mini" for the built-in chart; None: the folder in
    $EYECHART_DATA or $LMUData, else the built-in chart.
    file: name of the official file to use, where there are several (MMBench).
    max_images: only the questions about so many images, the sample that `run --max-images` takes.
    """

    def __init__(
        self,
        rules: Rules,
        data: str | None = None,
        *,
        file: str | None = None,
        max_images: int | None = None,
    ) -> None:
        if max_images is not None and (type(max_images) is not int or max_images < 1):
            raise InputError(f"{rules.name}: max_images {max_images!r} is not a count of 1 or more")
        self._rules, self._data = rules, data
        self._file, self._max_images = file, max_images

    @property
    def name(self) -> str:
        return self._rules.name

    @property
    def version(self) -> str:
        """Version of the questions and prompts, and which data: equal bytes, equal version."""
        return f"{self._rules.version}+{self._identity[:16]}"

    @property
    def options(self) -> Mapping[str, Json]:
        """What can change an answer: not where the data lies, nor how many questions are asked."""
        return {} if self._file is None else {"file": self._file}

    @property
    def max_images(self) -> int | None:
        """How many images are asked about; None: all."""
        return self._max_images

    @property
    def headline_metric(self) -> str:
        return self._rules.headline_metric

    @property
    def official(self) -> tuple[OfficialFile, ...]:
        """The benchmark's official files, the preferred one first."""
        return self._rules.official

    @property
    def path(self) -> Path:
        """The file that is read. Raises InputError where there is none."""
        return self._found.path

    @property
    def origin(self) -> str:
        """Who named the file: "--data", "$EYECHART_DATA", "$LMUData" or "eyechart-mini"."""
        return self._found.origin

    @property
    def table(self) -> Table:
        """The file's columns, rows and places of pictures."""
        return self._table

    def questions(self) -> tuple[Question, ...]:
        """All questions, in file order. Raises InputError."""
        return self._asked

    def image(self, key: str) -> Rgb8:
        """Decode one picture. Raises ImageError."""
        return decode_image(self._table.image_bytes(key), name=f"{self.name} image {key}")

    def prompt(self, question: Question, vlm_family: str) -> str:
        return self._rules.prompt(question, vlm_family)

    def max_new_tokens(self, question: Question) -> int:
        return self._rules.max_new_tokens(question)

    def choices(self, question: Question) -> tuple[str, ...]:
        """What choice-set decoding may answer; () where the benchmark's rules have no `choices`."""
        return choices_of(self._rules, question)

    def score(self, question: Question, answer: str) -> Score:
        return self._rules.score(question, answer)

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        """All sub-metrics; a category without scores counts 0. Raises InputError (unknown id)."""
        return self._rules.summarize(self._sheet(scores))

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        place: dict[str, int] = {}
        statistics = self._rules.statistics(self._sheet(scores))
        for image, _ in statistics:
            place.setdefault(image, len(place))
        sums = np.zeros((len(place), self._rules.statistics_size))
        for image, numbers in statistics:
            sums[place[image]] += numbers
        return ImageSums(images=tuple(place), sums=sums, strata=self._strata(place))

    def headline(self, sums: Floats) -> Floats:
        return self._rules.headline(np.asarray(sums, dtype=np.float64))

    def _strata(self, images: Iterable[str]) -> tuple[str, ...]:
        """Of images, where the rules have strata, by all the questions that are asked."""
        strata: Callable[[Mapping[str, Sequence[Question]]], Mapping[str, str]] | None
        strata = getattr(self._rules, "strata", None)
        if strata is None:
            return ()
        asked: dict[str, list[Question]] = {}
        for question in self._asked:
            asked.setdefault(question.image, []).append(question)
        found = strata(asked)
        return tuple(found[image] for image in images)

    def _sheet(self, scores: Sequence[Score]) -> Sheet:
        by_id = {score.question_id: score for score in scores}
        scored = tuple(
            (question, by_id[question.id]) for question in self._asked if question.id in by_id
        )
        if len(scored) < len(by_id):
            foreign = sorted(by_id.keys() - {question.id for question in self._asked})
            raise InputError(f"{self.name}: no question {foreign[0]!r} in {self.path.name}")
        return Sheet(file=self._questions, asked=self._asked, scored=scored)

    @cached_property
    def _found(self) -> Found:
        return find(self._rules.official, self._data, self._file)

    @cached_property
    def _table(self) -> Table:
        folders = {official.name: official.images for official in self._rules.official}
        path = self._found.path
        return read_table(path, self._rules.columns, folders.get(path.name, path.stem))

    @cached_property
    def _identity(self) -> str:
        return self._table.identity()

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        return tuple(self._question(row) for row in self._table.rows)

    @cached_property
    def _asked(self) -> tuple[Question, ...]:
        chosen = by_image(self._questions, self._max_images)
        ids = {question.id for _, its in chosen for question in its}
        return tuple(question for question in self._questions if question.id in ids)

    def _question(self, row: Row) -> Question:
        try:
            return self._rules.question(row)
        except ValueError as error:
            raise row_error(self.path.name, row.number, str(error)) from error
