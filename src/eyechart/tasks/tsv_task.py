"""A benchmark over a data file in VLMEvalKit's TSV format.

    TsvBenchmark (columns, prompt, scorer, metrics)  +  a TSV file  ->  TsvTask, a core Task

The file is read when the first question, image or version is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.hooks import RunOption, TaskFile
from eyechart.core.images import decode_image
from eyechart.core.prompts import style_of
from eyechart.core.types import Floats, ImageSums, Json, Question, Rgb8, Score
from eyechart.tasks.sampling import by_image
from eyechart.tasks.scored import (
    ScoredQuestions,
    Statistics,
    accuracies,
    percent_label,
    percent_right,
    right_and_asked,
)
from eyechart.tasks.sources import DataFile, OfficialFile, find
from eyechart.tasks.table import TsvRow, TsvTable, read_table
from eyechart.tasks.tsv import row_error


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvBenchmark:
    """The parts in which one benchmark differs from the others. All functions are pure.

    The defaults score a benchmark by accuracy in percent: overall, then by category.
    """

    name: str
    version: str
    """Version of questions and prompts; the scorer's version is not part of a cell."""
    headline_metric: str
    columns: tuple[str, ...]
    """Columns that the file must have beside `index` and the image."""
    official: tuple[OfficialFile, ...]
    """The benchmark's published files, the preferred one first."""
    question: Callable[[TsvRow], Question]
    """Converts a row. Raises ValueError for an invalid row."""
    prompt: Callable[[Question, str], str]
    """(question, VLM family) -> the text for the VLM."""
    max_new_tokens: int
    score: Callable[[Question, str], Score]
    """Scores one answer; never raises."""
    choices: Callable[[Question], tuple[str, ...]] | None = None
    """The answers allowed in choice-set decoding; None: the benchmark has no such sets."""
    guess_most_frequent: bool = False
    """Of open questions with short answers: a guess is the most frequent answer of the file."""
    summarize: Callable[[ScoredQuestions], dict[str, float]] = accuracies
    """All sub-metrics in table order, the headline included."""
    label: Callable[[str], str] = percent_label
    """(name of a metric in `summarize`) -> its name in tables, with its unit."""
    statistics: Callable[[ScoredQuestions], Statistics] = right_and_asked
    """(image, k numbers) pairs; `headline` maps their sum over any images to the metric."""
    statistics_size: int = 2
    """The k of `statistics`."""
    headline: Callable[[Floats], Floats] = percent_right
    """(..., k) sums -> (...) headline metric, 0 if it is undefined."""
    strata: Callable[[Mapping[str, Sequence[Question]]], Mapping[str, str]] | None = None
    """(image -> its questions) -> (image -> stratum), for headlines that add up parts
    (`core.types.ImageSums`)."""


class TsvTask:
    """A benchmark over one file.

    data: a folder or a TSV file, or "eyechart-mini" for the built-in chart; None: the folder in
    $EYECHART_DATA or $LMUData, else the built-in chart.
    file: name of the official file to use if there are several (MMBench).
    max_images: use only the questions on this many images, the sample of `run --max-images`.
    """

    run_options: ClassVar[tuple[RunOption, ...]] = ("data",)

    def __init__(
        self,
        benchmark: TsvBenchmark,
        data: str | None = None,
        *,
        file: str | None = None,
        max_images: int | None = None,
    ) -> None:
        if max_images is not None and (type(max_images) is not int or max_images < 1):
            raise InputError(
                f"{benchmark.name}: max_images {max_images!r} is not a count of 1 or more"
            )
        self._benchmark, self._data = benchmark, data
        self._file, self._max_images = file, max_images

    @property
    def name(self) -> str:
        return self._benchmark.name

    @property
    def version(self) -> str:
        """Version of the questions and prompts, and a digest of the data file."""
        return f"{self._benchmark.version}+{self._identity[:16]}"

    @property
    def options(self) -> Mapping[str, Json]:
        """What can change an answer: neither the data's path nor the number of questions."""
        return {} if self._file is None else {"file": self._file}

    @property
    def max_images(self) -> int | None:
        """How many images are asked about; None: all."""
        return self._max_images

    @property
    def headline_metric(self) -> str:
        return self._benchmark.headline_metric

    def metric_label(self, name: str) -> str:
        """A metric as tables and charts name it, with its unit."""
        return self._benchmark.label(name)

    @property
    def official(self) -> tuple[OfficialFile, ...]:
        """The benchmark's official files, the preferred one first."""
        return self._benchmark.official

    @property
    def path(self) -> Path:
        """The file that is read. Raises InputError if there is none."""
        return self._found.path

    @property
    def table(self) -> TsvTable:
        """The file's columns, rows and the positions of its images."""
        return self._table

    def data_file(self) -> TaskFile:
        """See `core.hooks.HasFile`."""
        try:
            found = self._found
        except InputError:
            return TaskFile(path=None, published=self.official)
        return TaskFile(path=found.path, origin=found.origin, published=self.official)

    def describe_file(self) -> Mapping[str, str]:
        """See `core.hooks.HasFile`: the columns, and the rows that are left out."""
        facts = {"columns": ", ".join(self._table.columns)}
        if left_out := self._table.without_image:
            facts["left out"] = f"{left_out:,} rows without an image"
        return facts

    def questions(self) -> tuple[Question, ...]:
        """All questions, in file order. Raises InputError."""
        return self._asked

    def image(self, key: str) -> Rgb8:
        """Decode one image. Raises ImageError."""
        return decode_image(self._table.image_bytes(key), name=f"{self.name} image {key}")

    def image_bytes(self, key: str) -> bytes:
        """See `core.hooks.HasImageBytes`. Raises ImageError."""
        return self._table.image_bytes(key)

    def check_images(self, keys: Iterable[str]) -> None:
        """See `core.hooks.HasImageFiles`. Raises InputError."""
        self._table.check_files(keys)

    def prompt(self, question: Question, vlm_family: str) -> str:
        own = style_of(vlm_family).by_task.get(self.name)
        if own is None:
            return self._benchmark.prompt(question, vlm_family)
        with plugins.guarded(vlm_family):
            return own(question)

    def max_new_tokens(self, question: Question) -> int:
        return self._benchmark.max_new_tokens

    def choices(self, question: Question) -> tuple[str, ...]:
        """The allowed answers in choice-set decoding; () if the benchmark has no `choices`."""
        return () if (choices := self._benchmark.choices) is None else choices(question)

    def chance(self, question: Question) -> float | None:
        """See `core.hooks.HasChance`: one of the choices, or the most frequent answer."""
        if self._benchmark.guess_most_frequent:
            return self._most_frequent_share
        choices = self.choices(question)
        return 1 / len(choices) if choices else None

    def score(self, question: Question, answer: str) -> Score:
        return self._benchmark.score(question, answer)

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        """All sub-metrics; a category without scores counts 0. Raises InputError (unknown id)."""
        return self._benchmark.summarize(self._scored(scores))

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        place: dict[str, int] = {}
        statistics = self._benchmark.statistics(self._scored(scores))
        for image, _ in statistics:
            place.setdefault(image, len(place))
        sums = np.zeros((len(place), self._benchmark.statistics_size))
        if statistics:
            np.add.at(sums, [place[image] for image, _ in statistics], [n for _, n in statistics])
        return ImageSums(images=tuple(place), sums=sums, strata=self._strata(place))

    def headline(self, sums: Floats) -> Floats:
        return self._benchmark.headline(np.asarray(sums, dtype=np.float64))

    def _strata(self, images: Iterable[str]) -> tuple[str, ...]:
        """The stratum of each image, from all questions about it; () without strata."""
        if self._benchmark.strata is None:
            return ()
        asked: dict[str, list[Question]] = {}
        for question in self._asked:
            asked.setdefault(question.image, []).append(question)
        found = self._benchmark.strata(asked)
        return tuple(found[image] for image in images)

    def _scored(self, scores: Sequence[Score]) -> ScoredQuestions:
        by_id = {score.question_id: score for score in scores}
        scored = tuple(
            [
                (question, score)
                for question in self._asked
                if (score := by_id.get(question.id)) is not None
            ]
        )
        if len(scored) < len(by_id):
            foreign = sorted(by_id.keys() - {question.id for question in self._asked})
            raise InputError(f"{self.name}: no question {foreign[0]!r} in {self.path.name}")
        return ScoredQuestions(file=self._questions, asked=self._asked, scored=scored)

    @cached_property
    def _found(self) -> DataFile:
        return find(self._benchmark.official, self._data, self._file)

    @cached_property
    def _table(self) -> TsvTable:
        folders = {official.name: official.images for official in self._benchmark.official}
        path = self._found.path
        return read_table(path, self._benchmark.columns, folders.get(path.name, path.stem))

    @cached_property
    def _identity(self) -> str:
        return self._table.identity()

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        return tuple(self._question(row) for row in self._table.rows)

    @cached_property
    def _most_frequent_share(self) -> float:
        answers = Counter(question.answer.strip().lower() for question in self._questions)
        return max(answers.values()) / answers.total()

    @cached_property
    def _asked(self) -> tuple[Question, ...]:
        if self._max_images is None:
            return self._questions
        chosen = by_image(self._questions, self._max_images)
        ids = {question.id for _, its in chosen for question in its}
        return tuple(question for question in self._questions if question.id in ids)

    def _question(self, row: TsvRow) -> Question:
        try:
            return self._benchmark.question(row)
        except ValueError as error:
            raise row_error(self.path.name, row.number, str(error)) from error
