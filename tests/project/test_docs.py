"""The documentation: its commands and links work, and every page can be found."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from eyechart.cli import run_args
from eyechart.core import plugins

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="not in this source tree")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `eyechart` command in the page's code blocks."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language not in ("", "sh"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if "eyechart " in line else []
            while words and ("=" in words[0] and not words[0].startswith("-")):
                words = words[1:]  # a variable that is set for the command
            if words and words[0] == "eyechart":
                yield words[1:]


@cache
def help_of(*verb: str) -> str:
    from contextlib import redirect_stdout
    from io import StringIO

    said = StringIO()
    with redirect_stdout(said):
        assert run_args([*verb, "-h"]) == 0, f"no command {' '.join(verb)}"
    return said.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_verbs_and_options_that_exist(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for words in commands(page):
        if words[0] in ("COMMAND", "-h", "--version"):
            continue
        verb = words[:1]
        if " COMMAND " in help_of(*verb):
            verb = words[:2]
        help_text = help_of(*verb)
        for word in words[len(verb) :]:
            if word.startswith("-") and not word.lstrip("-")[:1].isdigit():
                option = word.partition("=")[0]
                assert re.search(rf"(^|[\s,]){option}\b", help_text), f"{' '.join(verb)}: {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation_and_linked_from_the_readme_or_the_index() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    linked = {
        Path(target).name
        for name in ("README.md", "docs/index.md", "docs/architecture.md")
        for target in LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    }
    for page in PAGES[1:]:
        assert f": {page.name}\n" in nav, page.name
        assert page.name in linked or page.name == "index.md", page.name


def test_the_codec_page_names_every_codec_and_its_levels() -> None:
    page = (ROOT / "docs" / "codecs.md").read_text(encoding="utf-8")
    for name in plugins.names("eyechart.codecs"):
        if plugins.find("eyechart.codecs", name).dist.name != "eyechart":  # type: ignore[union-attr]
            continue
        assert f"`{name}`" in page, name
        row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), "")
        if row:
            levels = plugins.load("eyechart.codecs", name, {}).levels
            named = {text.strip() for text in row.split("|")[5].split(",")}
            assert named == {level.name for level in levels}, name


def test_the_variables_of_this_package_are_documented() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    used = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\b(EYECHART_[A-Z]+)\b", path.read_text(encoding="utf-8"))
    }
    assert used
    assert {name for name in used if name not in page} == set()


def test_the_navigation_names_pages_that_exist() -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]
    pages = [page for part in nav for below in part.values() for page in _pages(below)]
    assert all((ROOT / "docs" / page).is_file() for page in pages)


def _pages(below: object) -> list[str]:
    if isinstance(below, str):
        return [below]
    assert isinstance(below, list)
    return [page for part in below for page in part.values()]
