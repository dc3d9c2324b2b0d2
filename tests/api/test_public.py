"""The functions of `import eyechart`: complete, with examples that run, and light to import."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import eyechart
from eyechart import api

FUNCTIONS = [name for name in eyechart.__all__ if inspect.isfunction(getattr(eyechart, name))]


def test_everything_public_is_there_and_nothing_else_is_offered() -> None:
    assert sorted(eyechart.__all__) == sorted(set(eyechart.__all__))
    assert sorted(dir(eyechart)) == sorted(eyechart.__all__)
    assert set(api.__all__) <= set(eyechart.__all__)
    for name in eyechart.__all__:
        assert getattr(eyechart, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        eyechart.no_such_name  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_shows_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(eyechart, name)) or "")


@pytest.mark.parametrize(
    "module",
    sorted(
        {inspect.getmodule(getattr(eyechart, name)) for name in FUNCTIONS},
        key=lambda module: getattr(module, "__name__", ""),
    ),
)
def test_the_examples_hold(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the examples write there
    if module.__name__ in {f"eyechart.api.{name}" for name in ("runs", "run_results", "quality")}:
        # Their examples read what the first one of `run` writes, and doctest sorts them by name.
        doctest.run_docstring_examples(eyechart.run, {"eyechart": eyechart})
    found = doctest.testmod(module, extraglobs={"eyechart": eyechart})
    assert found.attempted > 0
    assert found.failed == 0


def test_the_import_is_light_and_so_are_curves() -> None:
    code = (
        "import sys, eyechart\n"
        "heavy = {'numpy', 'PIL', 'pydantic', 'rich', 'torch', 'ray', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "eyechart.bd_metric([0.1, 0.2], [60, 70], uncompressed=80)\n"
        "eyechart.open_codec('jpeg')\n"
        "print(sorted({'torch', 'ray', 'matplotlib', 'transformers'} & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize("how", ["import eyechart.runner.engine", "import eyechart.api"])
def test_no_subpackage_takes_the_place_of_a_function(how: str) -> None:
    code = f"{how}\nimport eyechart, inspect\nprint(inspect.isfunction(eyechart.run))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"
    folder = Path(eyechart.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert not modules & set(eyechart.__all__)
