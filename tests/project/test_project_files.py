"""Project files agree on versions, names and licence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION: str = PROJECT["project"]["version"]


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    sections = [line.split()[1] for line in lines if line.startswith("## ")]
    assert next(name for name in sections if name != "Unreleased") == VERSION


@pytest.mark.skipif(not (ROOT / "CITATION.cff").exists(), reason="not in this source tree")
def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    assert {"message", "title", "authors", "preferred-citation"} <= citation.keys()


def test_what_is_pinned_is_enough_for_what_is_required() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = PROJECT["project"]["optional-dependencies"]
    required = PROJECT["project"]["dependencies"] + extras["dev"] + extras["docs"]
    names = {
        requirement.partition(">")[0].partition("[")[0].lower().replace("_", "-")
        for requirement in required
    }
    assert names - {"eyechart"} <= pinned


def test_the_readme_of_a_package_index_has_no_links_into_the_source_tree() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for step in hook["substitutions"]:
        text = re.sub(step["pattern"], step["replacement"], text)
    assert re.findall(r"\]\((?!https?://)[^)]*\)", text) == []
    assert "| BD-Metric, adapter |" in text


def test_the_tests_are_found_beside_a_distribution_with_a_package_of_their_name(
    tmp_path: Path,
) -> None:
    """torch-fidelity, of the extra `perceptual`, installs a package `tests`. A folder without
    __init__.py is taken only if no package of its name is on the whole path."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    script = "import tests; print(tests.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        cwd=tmp_path / "tests",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == ROOT / "tests" / "__init__.py"
