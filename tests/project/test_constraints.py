"""The pinned versions of constraints.txt fit each other, so that a new environment can be made."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_pinned_versions_meet_the_requirements_of_pinned_packages() -> None:
    """As far as they are installed here with the pinned version: their metadata says what they
    need."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines if "==" in line)
    }
    checked, misfits = 0, []
    for distribution in distributions():
        name = canonicalize_name(distribution.name)
        if pins.get(name) != distribution.version.partition("+")[0]:
            continue
        checked += 1
        for text in distribution.requires or ():
            needed = Requirement(text)
            pin = pins.get(canonicalize_name(needed.name))
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if pin and wanted and not needed.specifier.contains(pin, prereleases=True):
                misfits.append(f"{name} needs {needed}, pinned is {pin}")
    assert checked > 100
    assert not misfits
