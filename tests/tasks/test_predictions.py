"""Other tools' predictions: the three formats, every broken one, and the command line."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.core.hooks import metric_label
from eyechart.tasks.predictions import read_predictions, score_predictions
from tests.tasks.seven import CASES, MMBENCH, POPE, Case

ANSWERS = {"1": 'Yes, "it" is.\nIndeed', "2": "", "3": "None", "4": "7", "5": "nö,\tno"}


def write(path: Path, answers: Mapping[str, str]) -> Path:
    rows = [{"index": int(k), "question": "?", "prediction": v} for k, v in answers.items()]
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=4), encoding="utf-8")
    elif path.suffix == ".xlsx":
        openpyxl = pytest.importorskip("openpyxl", reason="the extra xlsx is not installed")
        book = openpyxl.Workbook()
        for line in ([*rows[0]], *([*row.values()] for row in rows)):
            book.active.append(line)
        book.save(path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(file, [*rows[0]], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["p.jsonl", "p.json", "p.csv", "p.tsv", "p.xlsx"])
def test_answers_round_trip(tmp_path: Path, name: str) -> None:
    assert read_predictions(write(tmp_path / name, ANSWERS)) == ANSWERS


def test_an_answer_that_a_spreadsheet_takes_for_a_formula_is_text(tmp_path: Path) -> None:
    assert read_predictions(write(tmp_path / "p.xlsx", {"1": "=5", "2": "= B"})) == {
        "1": "=5",
        "2": "= B",
    }


def test_the_text_vlmevalkit_stores_for_a_failure_is_no_answer(tmp_path: Path) -> None:
    given = {"1": "Failed to obtain answer via API.", "2": "yes"}
    assert read_predictions(write(tmp_path / "p.csv", given)) == {"2": "yes"}


def test_numbers_and_null_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"index": 1.0, "prediction": 3}\n{"index": "x", "prediction": null}\n')
    assert read_predictions(path) == {"1": "3"}


def test_an_empty_cell_is_the_empty_answer(tmp_path: Path) -> None:
    assert read_predictions(write(tmp_path / "p.xlsx", {"1": "", "2": "no"}))["1"] == ""


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    for name, text in (
        ("p.json", '[{"index": 1, "prediction": "a"}]'),
        ("p.jsonl", '{"index": 1, "prediction": "a"}'),
        ("p.csv", "index,prediction\n1,a\n"),
    ):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8-sig")
        assert read_predictions(path) == {"1": "a"}


def test_an_open_quote_does_not_join_the_next_rows(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text('index\tprediction\n1\t"Yes\n2\tno\n3\t"STOP" sign\n')
    assert read_predictions(path) == {"1": '"Yes', "2": "no", "3": '"STOP" sign'}


def test_a_workbook_with_a_wrong_dimension_record_is_read_whole(tmp_path: Path) -> None:
    import zipfile

    source = write(tmp_path / "right.xlsx", {str(i): "yes" for i in range(5)})
    path = tmp_path / "p.xlsx"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for item in old.namelist():
            data = old.read(item)
            if item.endswith("sheet1.xml"):
                assert b'<dimension ref="A1:C6"' in data
                data = data.replace(b'<dimension ref="A1:C6"', b'<dimension ref="A1"')
            new.writestr(item, data)
    assert len(read_predictions(path)) == 5


def test_damaged_workbooks_raise_no_other_error(tmp_path: Path) -> None:
    """Any byte may be damaged: the result is a table of answers or an InputError."""
    import random

    data = write(tmp_path / "right.xlsx", ANSWERS).read_bytes()
    chance = random.Random(0)
    path = tmp_path / "p.xlsx"
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(damaged)
        with suppress(InputError):
            read_predictions(path)


def test_sample_files_of_lmms_eval(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [
        {"doc_id": 0, "doc": {"index": 7}, "resps": [["Yes."]], "filtered_resps": ["Yes"]},
        {"doc_id": 1, "doc": {"question": "?"}, "resps": [["No"]]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_predictions(path) == {"7": "Yes", "1": "No"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", '{"index": 1}', r"p\.jsonl, line 1: needs the keys index and prediction"),
        ("p.jsonl", '{"index": 1, "pred', r"p\.jsonl, line 1: not JSON"),
        ("p.jsonl", "[1, 2]", r"p\.jsonl, line 1: needs the keys"),
        ("p.json", "[1, 2]", r"p\.json, row 1: needs the keys"),
        ("p.json", '{"index": [0]}', r"p\.json, row 1: needs the keys"),
        ("p.json", '[{"index": 1, ', r"p\.json: not JSON \(.*line 1"),
        ("p.jsonl", '{"index": 1, "prediction": "a", "index": 2}', r"key 'index' occurs twice"),
        ("p.json", '[{"index": 1, "prediction": "a", "prediction": "b"}]', r"occurs twice"),
        ("p.jsonl", f'{{"index": 1, "prediction": "{"x" * (1 << 24)}"}}', r"the limit"),
        ("p.jsonl", "[" * 100_000, r"p\.jsonl, line 1: not JSON"),
        ("p.jsonl", '{"index": 1, "prediction": ' + "9" * 5000 + "}", r"line 1: not JSON"),
        ("p.json", '{"index": 1, "prediction": {"a": 1}}', r"row 1: a prediction is an object"),
        ("p.json", '{"index": 1, "prediction": ["a", "b"]}', r"row 1: a prediction is a list of 2"),
        ("p.csv", "index,prediction,prediction\n1,a,b\n", r"more than one column 'prediction'"),
        ("p.csv", "index,answer\n1,yes\n", r"p\.csv: no column 'prediction'; its columns: index, "),
        ("p.csv", "", r"p\.csv: no column 'index'; its columns: none"),
        ("p.csv", "index,prediction\n1\n", r"p\.csv, row 1: 1 cell,"),
        ("p.csv", "index,prediction\n1,a\n1,b\n", r"p\.csv, row 2: index 1 occurs twice"),
        ("p.csv", "index,prediction\n,a\n", r"p\.csv, row 1: no index"),
        ("p.csv", b"index,prediction\n1,\xff\n", r"p\.csv: not UTF-8"),
        ("p.xlsx", "not a workbook", r"p\.xlsx: not an xlsx workbook"),
        ("p.txt", "1 yes", r"format '\.txt' is unknown; allowed: jsonl, json, csv, tsv, xlsx"),
    ],
)
def test_a_broken_file_is_one_clear_line(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_predictions(path)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "tsv", "xlsx"])
def test_a_huge_file_is_refused_by_its_size(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"huge.{suffix}"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(InputError, match=r"huge\.\w+: 3,221,225,472 bytes; allowed are "):
        read_predictions(path)


def test_a_workbook_that_is_larger_than_it_says_is_not_inflated(tmp_path: Path) -> None:
    path, sheet = tmp_path / "p.xlsx", "xl/worksheets/sheet1.xml"
    openpyxl = pytest.importorskip("openpyxl")
    openpyxl.Workbook().save(path)
    with ZipFile(path) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    contents[sheet] += b" " * (200 << 20)
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as parts:
        for name, data in contents.items():
            parts.writestr(name, data)
    with pytest.raises(InputError, match=r"inflates to 2..,...,... bytes; allowed are"):
        read_predictions(path)
    told = len(contents[sheet]).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(told, (1000).to_bytes(4, "little")))
    contents.clear()
    tracemalloc.start()
    with pytest.raises(InputError, match=r"p\.xlsx: not an xlsx workbook"):
        read_predictions(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def test_not_a_number_is_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('[{"index": 1, "prediction": NaN}]')  # as Python writes it
    assert read_predictions(path) == {"1": "nan"}


def test_missing_questions_count_nowhere_and_are_named(tmp_path: Path) -> None:
    task = POPE.open(tmp_path)
    result = score_predictions(task, {"1": "Yes", "4": "hm"}, "p.csv")
    assert (result.answered, result.missing) == (2, ("2", "3", "5"))
    assert result.unparsed_percent == 50.0
    assert result.metrics["Overall recall"] == 100.0
    with pytest.raises(InputError, match=r"p\.csv: index '9' is no question of POPE"):
        score_predictions(task, {"9": "Yes"}, "p.csv")
    with pytest.raises(InputError, match=r"p\.csv: no predictions of POPE"):
        score_predictions(task, {}, "p.csv")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_score_command(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = case.open(tmp_path)
    predictions = write(tmp_path / "p.csv", case.answers)
    arguments = ["--data", str(task.path), "--predictions", str(predictions)]
    out = tmp_path / "scores.json"
    assert run_args(["score", task.name, *arguments, "--json", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["metrics"] == pytest.approx(case.metrics, rel=1e-9)
    assert found["version"] == task.version
    printed = capsys.readouterr().out
    for metric, value in case.metrics.items():
        assert metric_label(task, metric) in printed
        assert f"{value:.4f}" in printed


def test_score_command_names_missing_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = POPE.open(tmp_path)
    predictions = write(tmp_path / "p.csv", {"1": "Yes"})
    arguments = ["score", "POPE", "--data", str(task.path), "--predictions"]
    assert run_args([*arguments, str(predictions)]) == 1
    assert "4 questions have no prediction and are not counted: 2, 3, 4, 5" in (
        " ".join(capsys.readouterr().out.split())
    )
    assert run_args([*arguments, str(tmp_path / "absent.csv")]) == 2
    assert "absent.csv: no such file" in capsys.readouterr().err


def test_task_list_shows_what_is_here_and_how_to_get_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    POPE.open(tmp_path)
    assert run_args(["task", "list", "--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "GQA_TestDev_Balanced.tsv: get it from https://" in printed
    assert "md5 99b62f22e224d9b2f32dcbe41359d1c9" in printed
    assert "POPE.tsv: get it" not in printed


def test_task_show_prints_columns_categories_and_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MMBENCH.open(tmp_path)
    assert run_args(["task", "show", "MMBench", "--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "7 about 2 images" in printed
    assert "l2-category" in printed
    assert "Please select the correct answer from the options above." in printed
    assert "reference: A" in printed


def test_task_commands_answer_bad_input_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["task", "show", "POPEE", "--data", str(tmp_path)]) == 2
    assert "unknown task 'POPEE'; did you mean POPE" in capsys.readouterr().err
    assert run_args(["task", "show", "POPE", "--data", str(tmp_path)]) == 2
    assert "no POPE.tsv in" in capsys.readouterr().err
    assert run_args(["task", "show", "POPE:max_images=0", "--data", str(tmp_path)]) == 2
    assert "max_images 0 is not a count of 1 or more" in capsys.readouterr().err
