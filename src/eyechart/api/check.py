"""Own images through codecs, and the cheapest setting that loses little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from eyechart.api.runs import RunOptions

if TYPE_CHECKING:
    from eyechart.analysis.recommend import Recommendation
    from eyechart.analysis.table import Table
    from eyechart.runner.own_check import OwnCheck
    from eyechart.runner.progress import Progress

__all__ = [
    "check_images",
    "check_tolerance",
    "recommend",
    "recommendation_table",
    "recommendation_text",
]


def check_images(
    photos: str | Path,
    vlm: str = "eyechart-mini",
    *,
    out: str | Path,
    questions: str | Path | None = None,
    codecs: str | Sequence[str] | None = None,
    max_images: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[RunOptions],
) -> OwnCheck:
    """Ask a VLM about own images, uncompressed and at every level of some codecs.

    Where an answer is not known, what the VLM says about the uncompressed image is the reference.
    The score is the agreement with it; the uncompressed image is asked again, so that its score
    shows how far the VLM agrees with itself. `recommend` and all functions for a run directory read
    the result. A stopped check continues.

    photos: a folder of images. vlm: as for `open_vlm`. out: the run directory.
    questions: a CSV file with the columns image (a path from the folder of the photographs),
        question and perhaps answer; None: three questions about each image.
    codecs: names with options; None: JPEG, WebP and AVIF at usual qualities.
    max_images: use the first so many. options: how to run it (`RunOptions`).

    Returns the number of images and questions, the mean size of the images' files, ...

    Raises:
        InputError: no images, or something named cannot be used.
        StoreError: the run directory cannot be used.

    Examples:
        >>> from PIL import Image
        >>> Path("photos").mkdir()
        >>> for n in range(2):
        ...     Image.linear_gradient("L").rotate(90 * n).resize((56, 56)).save(f"photos/{n}.png")
        >>> found = eyechart.check_images(
        ...     "photos", out="out/photos", codecs="jpeg:levels=[30,80]", workers=0
        ... )
        >>> found.images, found.questions
        (2, 6)
    """
    from eyechart.core.plugins import split_specs
    from eyechart.runner.options import Options
    from eyechart.runner.own_check import CODECS
    from eyechart.runner.own_check import check_images as check
    from eyechart.runner.progress import SilentProgress

    given = CODECS if codecs is None else codecs
    specs = split_specs(given) if isinstance(given, str) else list(given)
    return check(
        Path(photos),
        Path(out),
        vlm=vlm,
        codecs=specs,
        questions=None if questions is None else Path(questions),
        max_images=max_images,
        progress=progress or SilentProgress(),
        options=Options(**options),
    )


def recommend(
    run_directory: str | Path, *, tolerance: float = 2.0, tasks: Sequence[str] = ()
) -> list[Recommendation]:
    """The cheapest setting of each VLM and adapter whose loss is surely below a tolerance.

    The loss is that of the mean score of the questions, paired by image with the uncompressed one.
    A setting is good if the upper 95 % bound of its mean loss is at most the tolerance; the bound
    holds for all codecs of the run together.

    tolerance: in points of 100. tasks: use only these; (): all.

    Returns all settings with their losses, and the `best` one, or None.

    Raises:
        InputError: not a run directory; a tolerance outside 0..100; no such task; nothing to
            compare.

    Examples:
        >>> found = eyechart.recommend("out/photos", tolerance=5)
        >>> [setting.level for setting in found[0].settings]
        ['80', '30']
    """
    from eyechart.analysis.recommend import recommend as settings

    return settings(Path(run_directory), tolerance=tolerance, tasks=tuple(tasks))


def check_tolerance(tolerance: float) -> None:
    """Refuse what `recommend` would refuse, before a long check. Raises InputError."""
    from eyechart.analysis.recommend import check_tolerance as check

    check(tolerance)


def recommendation_table(found: Recommendation, files_bytes: float | None = None) -> Table:
    """The settings as a table. files_bytes: mean size of the images' own files."""
    from eyechart.analysis.recommend import recommendation_table as table

    return table(found, files_bytes)


def recommendation_text(found: Recommendation, files_bytes: float | None = None) -> str:
    """The recommendation in one or two sentences."""
    from eyechart.analysis.recommend import recommendation_text as text

    return text(found, files_bytes)
