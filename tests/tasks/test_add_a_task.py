"""The example in docs/add-a-task.md works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from eyechart.testing.tasks import check_task
from tests.tasks.tsv_files import png_base64, write_tsv

PAGE = Path(__file__).parents[2] / "docs" / "add-a-task.md"


def test_the_example_passes_the_check(tmp_path: Path) -> None:
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
        if "CountingRules" in block
    )
    module: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), module)
    rows = [
        {"index": 1, "image": png_base64(0), "question": "?", "answer": "3", "category": "cats"},
        {"index": 2, "image": "1", "question": "?", "answer": "12", "category": "dogs"},
    ]
    path = write_tsv(tmp_path / "Counting.tsv", rows)
    task = module["Counting"](str(path))  # type: ignore[operator]
    check_task(task)
    scores = [task.score(question, "12 of them") for question in task.questions()]
    assert task.summarize(scores) == {"Overall": 50.0, "cats": 0.0, "dogs": 100.0}
