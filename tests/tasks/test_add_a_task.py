"""docs/add-a-task.md works as written: its code is built into a package, installed and run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.installed import Distribution, eyechart_in, install, python_in
from tests.tasks.tsv_files import png_base64, write_tsv

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-task.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
(PYPROJECT,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
BROKEN = Distribution(
    name="broken-task",
    files={"broken_task.py": "raise RuntimeError('out of order')"},
    entry_points={"eyechart.tasks": {"Broken": "broken_task:Broken"}},
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {name: code for name, code in MODULES.items() if "/" in name}
    documented = Distribution(name="my-benchmarks", files=files, pyproject=PYPROJECT)
    return install(tmp_path_factory.mktemp("installed"), documented, BROKEN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"index": 1, "image": png_base64(0), "question": "?", "answer": "3", "category": "cats"},
        {"index": 2, "image": "1", "question": "?", "answer": "12", "category": "dogs"},
    ]
    write_tsv(tmp_path / "Counting.tsv", rows)
    return tmp_path


def test_both_tasks_pass_the_check(site: Path, folder: Path) -> None:
    done = python_in(site, "-c", MODULES["check_my_benchmarks.py"], cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_counting_task_scores_as_the_page_says(site: Path, folder: Path) -> None:
    code = """
from my_benchmarks.counting import Counting
task = Counting("Counting.tsv")
print(task.summarize([task.score(question, "12 of them") for question in task.questions()]))
"""
    done = python_in(site, "-c", code, cwd=folder)
    assert done.stdout == "{'Overall': 50.0, 'cats': 0.0, 'dogs': 100.0}\n"


def test_the_list_shows_every_task_and_one_line_for_a_broken_one(site: Path, folder: Path) -> None:
    done = eyechart_in(site, "task", "list", "--data", str(folder))
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "out of order" in lines["Broken"]
    assert "Counting.tsv" in lines["Counting"]
    assert "accuracy" in lines["Squares"]
    assert "POPE" in lines


def test_a_broken_task_hides_no_other(site: Path, folder: Path) -> None:
    code = """
from eyechart.tasks import open_tasks
print(sorted(task.name for task in open_tasks()))
"""
    done = python_in(site, "-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {"Counting", "Squares", "POPE"} <= set(ast.literal_eval(done.stdout))


@pytest.mark.slow
def test_a_task_without_a_data_folder_runs_and_is_rescored(site: Path, folder: Path) -> None:
    out = str(folder / "run")
    plan = ["--vlm", "eyechart-mini", "--codecs", "jpeg", "--tasks", "Squares,POPE"]
    limits = ["--data", "eyechart-mini", "--max-images", "2", "--no-report", "--workers", "1"]
    done = eyechart_in(site, "run", *plan, *limits, "--out", out)
    assert done.returncode == 0, done.stderr
    for verb in (["table", "scores"], ["rescore"]):
        done = eyechart_in(site, *verb, out)
        assert done.returncode == 0, done.stderr
    table = eyechart_in(site, "table", "scores", out, "--format", "md").stdout
    assert "Squares: scores of every cell" in table
