"""Distributions that are really installed, for tests of what third parties register.

site = install(tmp_path, Distribution(name="a", files={"a.py": ...}, entry_points={...}))
monkeypatch.syspath_prepend(site)               # this process finds it, or
eyechart_in(site, "codec", "list")              # a new process does
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A Python package to build and install.

    files: path in the source folder -> text, such as `my_codec.py` or `my_codec/__init__.py`.
    entry_points: group -> name -> target, such as eyechart.codecs -> mine -> `my_codec:Mine`.
    pyproject: the whole pyproject.toml, where it is what a test is about; it stands in for `name`,
        `version` and `entry_points`, and leaves the build backend to this module.
    """

    name: str
    version: str = "1.0"
    files: Mapping[str, str]
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pyproject: str = ""


def install(folder: Path, *distributions: Distribution) -> Path:
    """Build and install the distributions with pip; the site folder that holds them all.

    folder: any empty or new folder; sources and the site folder are put below it.
    """
    site = folder / "site"
    sources = [folder / "sources" / distribution.name for distribution in distributions]
    for source, distribution in zip(sources, distributions, strict=True):
        _write(source, distribution)
    # Without an index and without isolation: the build backend is the one in this environment.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(site)]
    done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site


def python_in(site: Path, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python in a new process that finds the installed distributions."""
    paths = filter(None, (str(site), os.environ.get("PYTHONPATH")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env=environment, cwd=cwd
    )


def eyechart_in(
    site: Path, *args: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the `eyechart` command in a new process that finds the installed distributions."""
    return python_in(site, "-m", "eyechart", *args, cwd=cwd)


def _write(source: Path, distribution: Distribution) -> None:
    for path, text in distribution.files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
    pyproject = distribution.pyproject or _project(distribution)
    if "[build-system]" not in pyproject:
        pyproject = f"{_BACKEND}\n{pyproject}"
    if "[tool.hatch" not in pyproject:
        pyproject += f"\n[tool.hatch.build.targets.wheel]\ninclude = {list(distribution.files)}\n"
    (source / "pyproject.toml").write_text(pyproject, encoding="utf-8")


_BACKEND = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def _project(distribution: Distribution) -> str:
    lines = ["[project]", f'name = "{distribution.name}"', f'version = "{distribution.version}"']
    for group, points in distribution.entry_points.items():
        lines.append(f'[project.entry-points."{group}"]')
        lines += [f'"{name}" = "{target}"' for name, target in points.items()]
    return "\n".join(lines) + "\n"
