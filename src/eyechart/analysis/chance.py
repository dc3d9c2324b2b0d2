"""Whether a VLM answers a task better than a guess that ignores the image.

A curve of a VLM at chance level is no information on a codec, because there is no score to lose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.analysis.bootstrap import Resampling, interval
from eyechart.core.hooks import chance_of
from eyechart.core.records import Record
from eyechart.core.types import Floats, Task
from eyechart.store import AnsweredQuestion


def chances(task: Task) -> dict[str, float]:
    """Chance (0..1) that a guess is right, by question id, of questions with a chance level."""
    found = {question.id: chance_of(task, question) for question in task.questions()}
    return {key: chance for key, chance in found.items() if chance is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceSums:
    """Of one cell. images: those asked about. above, questions: (images,), sum of (score - chance)
    and number of questions of each. right, guess: mean score and mean chance, 0..1."""

    images: tuple[str, ...]
    above: Floats
    questions: Floats
    right: float
    guess: float


def chance_sums(
    records: Sequence[Record | AnsweredQuestion], chance: Mapping[str, float]
) -> ChanceSums | None:
    """The sums of some records; None if there are none, or one has no chance level."""
    if not records or any(record.question_id not in chance for record in records):
        return None
    above: defaultdict[str, float] = defaultdict(float)
    questions: Counter[str] = Counter()
    for record in records:
        above[record.image] += record.value - chance[record.question_id]
        questions[record.image] += 1
    return ChanceSums(
        images=tuple(above),
        above=np.array(list(above.values())),
        questions=np.array([questions[image] for image in above], np.float64),
        right=float(np.mean([record.value for record in records])),
        guess=float(np.mean([chance[record.question_id] for record in records])),
    )


def chance_note(found: ChanceSums | None, resampling: Resampling) -> str:
    """One line if the share of right answers is not above that of a guess, else "".

    It uses the mean of (score - chance) over the questions, with its 95 % interval from the
    resampling of the images. "" also without the sums.
    """
    if found is None:
        return ""
    sums = np.zeros((len(resampling.images), 2))  # above chance, questions
    sums[resampling.rows(found.images)] = np.stack([found.above, found.questions], axis=1)
    drawn = resampling.sums(sums)
    present = drawn[:, 1] > 0
    total, asked = sums.sum(axis=0)
    if interval(total / asked, drawn[present, 0] / drawn[present, 1]).low > 0:
        return ""
    return (
        f"at chance level: {100 * found.right:.1f} % of the uncompressed images' answers are right,"
        f" {100 * found.guess:.1f} % of guesses"
    )
