"""Official data files: where they are published, and where they are looked for locally."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eyechart.core.built_in import BUILT_IN_DATA
from eyechart.core.errors import InputError
from eyechart.core.files import is_dir, is_file
from eyechart.core.images import IMAGE_SUFFIXES
from eyechart.store.remote import fetched, url_of
from eyechart.zoo import chart_dir

_VARIABLES = ("EYECHART_DATA", "LMUData")  # the latter is VLMEvalKit's
_SERVER = "https://opencompass.openxlab.space/utils"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialFile:
    """One of VLMEvalKit's files.

    md5: as VLMEvalKit lists it. images: folder of its image files below images/, as in VLMEvalKit.
    rows, image_count: numbers of rows and of different images, None if unknown.
    """

    name: str
    page: str
    md5: str
    images: str
    rows: int | None = None
    image_count: int | None = None

    @property
    def url(self) -> str:
        """Where VLMEvalKit downloads the file from."""
        return f"{_SERVER}/{self.page}/{self.name}"

    @property
    def how_to_get(self) -> str:
        """One line that says where to download the file."""
        return f"get it from {self.url} (md5 {self.md5})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A data file. origin: "data" or its URL, "$EYECHART_DATA", "$LMUData" or "eyechart-mini"."""

    path: Path
    origin: str


def find(
    official: Sequence[OfficialFile],
    data: str | None,
    file: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> DataFile:
    """The file to read: in `data` (a file, a folder or eyechart-mini) if given, else in the first
    of $EYECHART_DATA and $LMUData that is set, else the built-in chart.

    official: the benchmark's files, in order of preference. file: name of the one to use.

    Raises:
        InputError: the place does not exist or holds none of the files (says how to get them).
    """
    place, origin = place_of(data, environ)
    if place.is_file():
        return DataFile(path=place, origin=origin)
    names = [file] if file else [known.name for known in official]
    for name in names:
        if (place / name).is_file():
            return DataFile(path=place / name, origin=origin)
    known = next((known for known in official if known.name == names[0]), None)
    how = known.how_to_get if known else f"official: {', '.join(o.name for o in official)}"
    if _holds_image(place):
        how += f"; for own images: eyechart check {place}"
    raise InputError(f"no {' or '.join(names)} in {place} ({origin}); {how}")


def _holds_image(place: Path) -> bool:
    """Whether a folder holds an image file itself."""
    try:
        return any(path.suffix.lower() in IMAGE_SUFFIXES for path in place.iterdir())
    except OSError:
        return False


def place_of(data: str | None, environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """The folder or file where all tasks look for their data, and its origin (see `find`).

    Raises:
        InputError: there is no such place.
    """
    place, origin = _place(data, environ)
    if not (is_file(place) or is_dir(place)):
        raise InputError(f"{place} ({origin}) does not exist; allowed: a folder or a TSV file")
    return place, origin


def _place(data: str | None, environ: Mapping[str, str]) -> tuple[Path, str]:
    if data == BUILT_IN_DATA:
        return chart_dir(), BUILT_IN_DATA
    if data:
        return fetched(data), url_of(data) or "data"
    for variable in _VARIABLES:
        if environ.get(variable):
            return fetched(environ[variable]), f"${variable}"
    return chart_dir(), BUILT_IN_DATA
