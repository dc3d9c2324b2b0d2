"""Plans and rates as YAML: repeated keys and aliases are an error of one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eyechart.core.errors import InputError
from eyechart.runner.plan import load_plan, parse_plan
from eyechart.runner.rates import load_rates
from eyechart.runner.strict_yaml import load_yaml

PAGE = Path(__file__).parents[2] / "docs" / "plan.md"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("vlms: a\ntasks: POPE\nvlms: b\n", "key 'vlms' occurs twice, line 3"),
        ("codecs:\n  - {codec: jpeg, codec: vvc}\n", "key 'codec' occurs twice, line 2"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed, line 2"),
        ("a: [1, 2\nb: 3\n", "line 2"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "9" * 5000, "limit"),
        ("a: \x00", "special characters"),
        ("!!timestamp x: 3", "does not fit its tag"),
    ],
)
def test_bad_text_is_one_short_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as raised:
        load_yaml(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) <= 200
    with pytest.raises(InputError, match="plan 'mine' cannot be read"):
        parse_plan(text, "mine")


def test_rates_are_read_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text("a: {questions_per_s: 1}\na: {questions_per_s: 2}\n")
    with pytest.raises(InputError, match="key 'a' occurs twice"):
        load_rates(path)


def test_the_plan_in_the_documentation_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    plan = load_plan(str(path))
    assert [entry.levels for entry in plan.codecs] == [None, ("1", "6"), None]
    page = PAGE.read_text(encoding="utf-8")
    for key in type(plan).model_fields:
        assert f"| `{key}` |" in page
