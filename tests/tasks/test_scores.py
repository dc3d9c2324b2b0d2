"""The seven tasks' scores on small files, computed by hand, and properties of all tasks."""

from __future__ import annotations

import csv
import gzip
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.types import Score, Task, component_of
from eyechart.tasks.sampling import by_image
from eyechart.tasks.tsv_task import TsvTask
from eyechart.testing.tasks import check_task
from tests.tasks.seven import CASES, COCO, MMBENCH, MME, POPE, Case

PER_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
ANSWERS = st.sampled_from(["Yes", "No", "A", "B", "left", "cat", "a red cat", "12", "?", ""])


@PER_CASE
def test_scores_are_those_worked_out_by_hand(case: Case, tmp_path: Path) -> None:
    task = case.open(tmp_path)
    metrics = task.summarize(case.scores(task))
    assert list(metrics) == list(case.metrics)
    assert metrics == pytest.approx(case.metrics, rel=1e-9)


@PER_CASE
def test_unparsed_answers_are_reported(case: Case, tmp_path: Path) -> None:
    task = case.open(tmp_path)
    unparsed = [score.question_id for score in case.scores(task) if not score.parsed]
    assert tuple(unparsed) == case.unparsed


@PER_CASE
def test_the_conformance_check_passes(case: Case, tmp_path: Path) -> None:
    check_task(case.open(tmp_path))


@PER_CASE
def test_names_are_registered_and_metrics_are_called_as_published(
    case: Case, tmp_path: Path, published: dict[str, set[str]]
) -> None:
    task = case.open(tmp_path)
    assert task.name in plugins.names("eyechart.tasks")
    assert isinstance(plugins.load("eyechart.tasks", task.name, {"data": str(tmp_path)}), Task)
    assert set(case.metrics) <= published[task.name]
    assert task.headline_metric in case.metrics


@pytest.fixture(scope="module")
def published() -> dict[str, set[str]]:
    path = resources.files("eyechart.paper") / "data" / "published_scores.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    names: dict[str, set[str]] = {}
    for row in csv.DictReader(lines):
        names.setdefault(row["task"], set()).add(row["metric"])
    return names


@PER_CASE
@given(data=st.data())
def test_headline_of_sums_is_the_summary_of_any_scores(
    case: Case, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    task = _opened(case, tmp_path_factory)
    scores = _drawn_scores(task, data)
    sums = task.image_sums(scores).sums
    expected = task.summarize(scores)[task.headline_metric]
    assert float(task.headline(sums.sum(axis=0))) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@PER_CASE
@given(data=st.data())
def test_sums_are_per_image_and_take_whole_batches(
    case: Case, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    task = _opened(case, tmp_path_factory)
    scores = _drawn_scores(task, data)
    sums = task.image_sums(scores)
    weights = np.array([[1.0] * len(sums.images), list(range(len(sums.images)))])
    batch = task.headline(weights @ sums.sums)
    assert batch.shape == (2,)
    assert np.isfinite(batch).all()
    assert batch[0] == pytest.approx(float(task.headline(sums.sums.sum(axis=0))))
    image_of = {question.id: question.image for question in task.questions()}
    for image, row in zip(sums.images, sums.sums, strict=True):
        alone = [score for score in scores if image_of[score.question_id] == image]
        assert task.image_sums(alone).sums.sum(axis=0) == pytest.approx(row)


@PER_CASE
@given(data=st.data())
def test_the_order_of_scores_does_not_matter(
    case: Case, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    task = _opened(case, tmp_path_factory)
    scores = _drawn_scores(task, data)
    assert task.summarize(data.draw(st.permutations(scores))) == task.summarize(scores)


@PER_CASE
@given(answer=st.text())
def test_any_text_gets_a_score(
    case: Case, tmp_path_factory: pytest.TempPathFactory, answer: str
) -> None:
    task = _opened(case, tmp_path_factory)
    scores = [task.score(question, answer) for question in task.questions()]
    assert all(score.value in (0.0, 1.0) for score in scores)
    assert all(score.parsed or score.value == 0 for score in scores)
    assert all(math.isfinite(value) for value in task.summarize(scores).values())


@PER_CASE
def test_nothing_answered_is_zero_everywhere(case: Case, tmp_path: Path) -> None:
    metrics = case.open(tmp_path).summarize([])
    assert list(metrics) == list(case.metrics)
    assert set(metrics.values()) == {0.0}


def test_open_pairs_and_rotations_wait_for_their_last_answer(tmp_path: Path) -> None:
    mme = MME.open(tmp_path)
    metrics = mme.summarize([s for s in MME.scores(mme) if s.question_id != "3"])
    assert metrics["count"] == pytest.approx(200 / 3 + 0)  # 2 of 3 right; only pair b is whole
    mmbench = MMBENCH.open(tmp_path)
    metrics = mmbench.summarize([s for s in MMBENCH.scores(mmbench) if s.question_id != "1"])
    assert metrics["Overall"] == 50.0


def test_cider_weighs_words_by_the_whole_file(tmp_path: Path) -> None:
    task = COCO.open(tmp_path)
    whole = task.image_sums(COCO.scores(task)).sums
    part = task.image_sums(COCO.scores(task)[1:]).sums
    assert part[0] == pytest.approx(whole[1])
    assert COCO.open(tmp_path, max_images=1).summarize(COCO.scores(task)[:1])["CIDEr"] == (
        pytest.approx(750.0)
    )


@PER_CASE
def test_max_images_takes_the_sample_of_a_run_and_is_no_other_task(
    case: Case, tmp_path: Path
) -> None:
    whole = case.open(tmp_path)
    for images in (1, 2, 99):
        part = case.open(tmp_path, max_images=images)
        sample = {q.id for _, its in by_image(whole.questions(), images) for q in its}
        assert list(part.questions()) == [q for q in whole.questions() if q.id in sample]
        assert component_of(part) == component_of(whole)


def test_other_data_other_version(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, same = POPE.open(tmp_path), POPE.open(tmp_path / "a")
    other = Case(
        task=POPE.task,
        file=POPE.file,
        columns=POPE.columns,
        rows=POPE.rows[:4],
        answers={},
        metrics={},
    ).open(tmp_path / "b")
    assert one.version == same.version != other.version


def test_a_score_of_another_file_is_refused(tmp_path: Path) -> None:
    foreign = Score(question_id="77", value=1.0, parsed_answer="Yes", parsed=True)
    with pytest.raises(InputError, match=r"POPE: no question '77' in POPE\.tsv"):
        POPE.open(tmp_path).summarize([foreign])


@pytest.mark.parametrize(
    ("case", "cell", "message"),
    [
        (POPE, ("answer", "yes"), r"POPE\.tsv, row 1 .*: answer 'yes' is neither 'Yes' nor 'No'"),
        (MME, ("category", "smell"), r"MME\.tsv, row 1 .*: category 'smell' is not one of OCR, "),
        (COCO, ("answer", "a cat"), r"COCO_VAL\.tsv, row 1 .*: answer 'a cat' is not a list"),
        (MMBENCH, ("answer", "AB"), r"row 1 .*: answer 'AB' is not an option letter, A to Z"),
        (MMBENCH, ("index", "x1"), r"row 1 .*: index 'x1' is not a whole number"),
    ],
)
def test_an_invalid_row_is_named(
    tmp_path: Path, case: Case, cell: tuple[str, str], message: str
) -> None:
    column, text = cell
    place = case.columns.split().index(column)
    first = list(case.rows[0])
    first[place] = text
    rows = (tuple(first),)
    broken = Case(
        task=case.task, file=case.file, columns=case.columns, rows=rows, answers={}, metrics={}
    )
    with pytest.raises(InputError, match=message):
        broken.open(tmp_path).questions()


@pytest.mark.parametrize("count", [0, -1, "ten", 1.5, True])
def test_max_images_must_count(count: object) -> None:
    with pytest.raises(InputError, match=r"POPE: max_images .* is not a count of 1 or more"):
        POPE.task(None, max_images=count)


_OPENED: dict[str, TsvTask] = {}


def _opened(case: Case, factory: pytest.TempPathFactory) -> TsvTask:
    """The case's task, opened once: hypothesis asks for it a hundred times."""
    if case.file not in _OPENED:
        _OPENED[case.file] = case.open(factory.mktemp("seven"))
    return _OPENED[case.file]


def _drawn_scores(task: TsvTask, data: st.DataObject) -> list[Score]:
    questions = data.draw(st.lists(st.sampled_from(task.questions()), unique_by=lambda q: q.id))
    return [
        task.score(question, data.draw(ANSWERS | st.just(question.answer)))
        for question in questions
    ]
