"""The task files of the built-in chart: official form, held-out scenes, the same every time."""

from __future__ import annotations

import ast
import base64
import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.tasks.gqa import Gqa
from eyechart.tasks.mmbench import MmBench
from eyechart.tasks.mme import Mme
from eyechart.tasks.ocrbench import OcrBench
from eyechart.tasks.pope import Pope
from eyechart.tasks.seedbench import SeedBench
from eyechart.tasks.tsv_task import TsvTask
from recipes.chart import tasks
from recipes.chart.pictures import choose_pictures, stored
from recipes.chart.scene import SIZE_PX
from recipes.chart.tasks import Fields

FILES = (
    "POPE",
    "GQA_TestDev_Balanced",
    "COCO_VAL",
    "OCRBench",
    "MME",
    "MMBench_DEV_EN",
    "SEEDBench_IMG",
)


@pytest.fixture(scope="module")
def built() -> dict[str, list[Fields]]:
    return tasks.build(seed=0)


@pytest.fixture(scope="module")
def folder(built: dict[str, list[Fields]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are written."""
    there = tmp_path_factory.mktemp("chart")
    for name, rows in built.items():
        tasks.write_tsv(there / f"{name}.tsv", tasks.COLUMNS[name], rows)
    return there


@pytest.fixture(scope="module")
def read(folder: Path) -> dict[str, list[Fields]]:
    """The files read again by the csv module."""
    csv.field_size_limit(1 << 26)
    found = {}
    for name in FILES:
        with (folder / f"{name}.tsv").open(encoding="utf-8", newline="") as stream:
            found[name] = list(csv.DictReader(stream, delimiter="\t"))
    return found


def test_all_seven_files_have_their_columns_and_enough_questions(
    read: dict[str, list[Fields]],
) -> None:
    assert tuple(read) == FILES
    for name, rows in read.items():
        assert tuple(rows[0]) == tasks.COLUMNS[name]
        asked = [row for row in rows if int(row["index"]) < tasks.CIRCULAR_STEP]
        assert len(asked) >= 150, name
        assert len({row["index"] for row in rows}) == len(rows)
        assert all(row["question"] and row["answer"] for row in rows)


def test_every_row_leads_to_an_image(read: dict[str, list[Fields]]) -> None:
    for rows in read.values():
        held = {row["index"]: row["image"] for row in rows if len(row["image"]) > 64}
        assert all(len(row["image"]) > 64 or row["image"] in held for row in rows)
        assert len(set(held.values())) == len(held)  # none is stored twice
        first = base64.b64decode(next(iter(held.values())))
        assert Image.open(io.BytesIO(first)).size == (SIZE_PX, SIZE_PX)


def test_the_files_share_their_images_and_stay_small(read: dict[str, list[Fields]]) -> None:
    held = [{row["image"] for row in rows if len(row["image"]) > 64} for rows in read.values()]
    assert len(set().union(*held)) <= 270
    assert sum(len(image) for images in held for image in images) < 20e6


def test_images_are_of_held_out_scenes() -> None:
    chosen = choose_pictures(0)
    scenes = [*chosen.scenes, *chosen.signs, *chosen.forms, *chosen.formulas]
    assert {scene.split for scene in scenes} == {"test"}
    assert len({scene.seed for scene in scenes}) == len(scenes)
    assert {scene.layout for scene in chosen.scenes} == {"scene"}


def test_the_stored_image_is_close_to_the_rendered_one() -> None:
    from recipes.chart.render import render

    scene = choose_pictures(0).scenes[0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(stored(scene)))).convert("RGB"))
    error = np.mean((pixels.astype(float) - render(scene)) ** 2)
    assert 10 * np.log10(255**2 / error) > 35


def test_the_same_seed_gives_the_same_files(built: dict[str, list[Fields]]) -> None:
    assert tasks.build(seed=0) == built


def test_no_image_is_asked_the_same_thing_twice(read: dict[str, list[Fields]]) -> None:
    for name, rows in read.items():
        asked = Counter(
            (row["index"] if len(row["image"]) > 64 else row["image"], row["question"])
            for row in rows
            if int(row["index"]) < tasks.CIRCULAR_STEP
        )
        assert max(asked.values()) == 1, name


def test_pope_is_paired_in_every_split(read: dict[str, list[Fields]]) -> None:
    for split in ("random", "popular", "adversarial"):
        rows = [row for row in read["POPE"] if split in row["category"].split(",")]
        answers = Counter(row["answer"] for row in rows)
        assert answers["Yes"] == answers["No"] == 180


def test_mme_has_one_yes_and_one_no_an_image(read: dict[str, list[Fields]]) -> None:
    pairs: dict[tuple[str, str], list[Fields]] = defaultdict(list)
    for row in read["MME"]:
        pairs[row["category"], row["image_path"]].append(row)
    for pair in pairs.values():
        assert sorted(row["answer"] for row in pair) == ["No", "Yes"]
        assert len({row["question"] for row in pair}) == 2
    found = Counter(category for category, _ in pairs)
    assert found == {category: pairs for category, (_, _, pairs) in tasks.MME.items()}


def test_mmbench_rotations_keep_the_right_option(read: dict[str, list[Fields]]) -> None:
    groups: dict[int, list[Fields]] = defaultdict(list)
    for row in read["MMBench_DEV_EN"]:
        groups[int(row["index"]) % tasks.CIRCULAR_STEP].append(row)
    for rows in groups.values():
        letters = [letter for letter in "ABCD" if rows[0][letter]]
        assert sorted(row["answer"] for row in rows) == letters
        assert len({row[row["answer"]] for row in rows}) == 1
        assert len({tuple(sorted(row[letter] for letter in letters)) for row in rows}) == 1
    abilities = {row["l2-category"] for row in read["MMBench_DEV_EN"]}
    assert abilities == set(tasks.MMBENCH_QUOTA)


def test_seedbench_has_nine_dimensions_with_even_letters(read: dict[str, list[Fields]]) -> None:
    rows = read["SEEDBench_IMG"]
    assert Counter(row["category"] for row in rows) == tasks.SEED_QUOTA
    letters = Counter(row["answer"] for row in rows)
    assert max(letters.values()) - min(letters.values()) <= 9


def test_lists_in_a_string_parse(read: dict[str, list[Fields]]) -> None:
    for row in read["COCO_VAL"]:
        assert len(set(ast.literal_eval(row["answer"]))) == 5
    for row in read["OCRBench"]:
        (reference,) = ast.literal_eval(row["answer"])
        assert reference
    assert {row["category"] for row in read["OCRBench"]} == set(tasks.OCR_QUOTA)


def test_gqa_has_its_five_types_and_short_answers(read: dict[str, list[Fields]]) -> None:
    assert Counter(row["category"] for row in read["GQA_TestDev_Balanced"]) == tasks.GQA_QUOTA
    for row in read["GQA_TestDev_Balanced"]:
        assert row["answer"] == row["answer"].lower()
        assert " " not in row["answer"]


def test_the_command_writes_the_files_and_a_table(
    tmp_path: Path,
    built: dict[str, list[Fields]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["tasks", "--out", str(tmp_path / "new")])
    monkeypatch.setattr(tasks, "build", lambda seed: built)
    tasks.main()
    assert {path.stem for path in (tmp_path / "new").glob("*.tsv")} == set(FILES)
    table = capsys.readouterr().out
    assert "Instances Counting" in table
    assert "different images" in table


@pytest.mark.parametrize(
    ("make", "file"),
    [
        (Pope, "POPE"),
        (Gqa, "GQA_TestDev_Balanced"),
        (OcrBench, "OCRBench"),
        (Mme, "MME"),
        (MmBench, "MMBench_DEV_EN"),
        (SeedBench, "SEEDBench_IMG"),
    ],
)
def test_the_benchmark_s_own_scorer_accepts_the_file_s_answers(
    make: Callable[..., TsvTask], file: str, folder: Path, read: dict[str, list[Fields]]
) -> None:
    task = make(str(folder))
    answers = {row["index"]: row["answer"] for row in read[file]}
    if file == "OCRBench":
        answers = {index: ast.literal_eval(text)[0] for index, text in answers.items()}
    assert {question.id for question in task.questions()} == set(answers)
    scores = [task.score(question, answers[question.id]) for question in task.questions()]
    assert {score.value for score in scores} == {1.0}
    assert task.image(task.questions()[0].image).shape == (SIZE_PX, SIZE_PX, 3)
