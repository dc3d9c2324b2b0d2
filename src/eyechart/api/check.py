"""Own images through codecs, and the cheapest setting that loses little."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from eyechart.api.runs import RunOptions
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.store.remote import reading, writing

if TYPE_CHECKING:
    from eyechart.analysis.recommend import Recommendation
    from eyechart.analysis.table import Table
    from eyechart.runner.own_check import OwnCheck
    from eyechart.runner.progress import Progress
    from eyechart.store.own_files import OwnFiles

__all__ = [
    "check_asked",
    "check_images",
    "draw",
    "own_files",
    "parse_bandwidths",
    "recommend",
    "recommendation_table",
    "recommendation_text",
    "rules",
    "times",
    "write_policy",
]


def check_images(
    photos: str | Path,
    vlm: str = BUILT_IN_VLM,
    *,
    out: str | Path,
    questions: str | Path | None = None,
    codecs: str | Sequence[str] | None = None,
    today: str | None = None,
    max_images: int | None = None,
    most_questions: int | None = None,
    usd_per_million: tuple[float, float] | None = None,
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
        question and perhaps answer; None: three questions about each image, and yes/no probes of
        the objects that the VLM lists.
    codecs: names with options; None: JPEG, WebP and AVIF at usual qualities, JPEG also smaller.
    today: another codec with one level, to compare with.
    max_images: use the first so many. most_questions: refuse to ask more in all; None: any number.
    usd_per_million: prices of tokens of questions and of answers, for what `progress` says about
        costs before the first question; None: those that the VLM knows.
    options: how to run it (`RunOptions`).

    Returns the number of images and questions, the images' own files, ...

    Raises:
        InputError: no images, too many questions, or something named cannot be used.
        StoreError: the run directory cannot be used.

    Examples:
        >>> from PIL import Image
        >>> Path("photos").mkdir()
        >>> for n in range(2):
        ...     Image.linear_gradient("L").rotate(90 * n).resize((56, 56)).save(f"photos/{n}.png")
        >>> found = eyechart.check_images(
        ...     "photos", out="out/photos", codecs="jpeg:levels=[30,80]", workers=0
        ... )
        >>> found.images, found.own.jpeg_qualities
        (2, [])
    """
    from eyechart.core.plugins import split_specs
    from eyechart.runner.options import Options
    from eyechart.runner.own_check import check_images as check
    from eyechart.runner.progress import SilentProgress
    from eyechart.vlms.token_cost import Prices

    specs = split_specs(codecs) if isinstance(codecs, str) else codecs
    watching, chosen = progress or SilentProgress(), Options(**options)
    with writing(out, wait=chosen.wait, note=watching.note) as folder:
        return check(
            Path(photos),
            folder,
            vlm=vlm,
            codecs=None if specs is None else list(specs),
            today=today,
            questions=None if questions is None else Path(questions),
            max_images=max_images,
            most_questions=most_questions,
            prices=None if usd_per_million is None else Prices.of("", *usd_per_million),
            progress=watching,
            options=chosen,
        )


def recommend(
    run_directory: str | Path,
    *,
    tolerance: float = 2.0,
    tasks: Sequence[str] = (),
    save: str = "bytes",
    bandwidth: float | None = None,
    today: str | None = None,
    usd_per_million: tuple[float, float] | None = None,
    usd_per_gb: float | None = None,
    keep: bool = False,
) -> list[Recommendation]:
    """The cheapest setting of each VLM and adapter whose loss is surely below a tolerance.

    The loss is that of the mean score of the questions, paired by image with the uncompressed one.
    A setting is good if the upper 95 % bound of its mean loss is at most the tolerance; the bound
    holds for all codecs of the run together.

    tolerance: in points of 100. tasks: use only these; (): all.
    save: `bytes`, `tokens` (visual tokens), `usd` or `seconds`. bandwidth: Mbit/s, for seconds;
        None: 10.
    today: a setting of the run to compare with, for example `jpeg:quality=85`.
    usd_per_million: prices of tokens of questions and of answers; None: those of the kept
        recommendation, else list prices, where known.
    usd_per_gb: price of sending 10^9 bytes; None: that of the kept one, else not counted.
    keep: let the run's report open with it.

    Returns all settings with their losses and costs, and the `best` one, or None.

    Raises:
        InputError: not a run directory; a tolerance outside 0..100; a price below 0; no such task;
            nothing to compare; an unknown `save`, or one that the run has no figures of; `today` is
            no setting of the run.

    Examples:
        >>> found = eyechart.recommend("out/photos", tolerance=5)
        >>> [setting.level for setting in found[0].settings]
        ['80', '30']
    """
    from eyechart.analysis.deployment import BANDWIDTH_MBIT
    from eyechart.analysis.kept_recommendation import Asked, kept
    from eyechart.analysis.kept_recommendation import keep as store

    asked = Asked(
        tolerance=tolerance,
        tasks=tuple(tasks),
        save=save,
        bandwidth_mbit=BANDWIDTH_MBIT if bandwidth is None else bandwidth,
        today=today,
        usd_per_million=usd_per_million,
        usd_per_gb=usd_per_gb,
    )
    with reading(run_directory) as folder:
        asked = asked.with_prices_of(kept(folder))
        found = asked.of(folder)
        if keep:
            store(folder, asked)
    return found


def check_asked(
    tolerance: float, usd_per_million: tuple[float, float] | None, usd_per_gb: float | None
) -> None:
    """Refuse what `recommend` would refuse, before a long check. Raises InputError."""
    from eyechart.analysis.deployment import TokenPrices, UsdPrices
    from eyechart.analysis.recommend import check_tolerance

    check_tolerance(tolerance)
    UsdPrices(tokens=TokenPrices.of(usd_per_million), per_gb=usd_per_gb)


def recommendation_table(found: Recommendation, own: OwnFiles | None = None) -> Table:
    """The settings as a table. own: the images' own files (`own_files`), to compare with."""
    from eyechart.analysis.recommend_view import recommendation_table as table

    return table(found, own)


def recommendation_text(found: Recommendation, own: OwnFiles | None = None) -> str:
    """The recommendation in one or two sentences."""
    from eyechart.analysis.recommend_view import recommendation_text as text

    return text(found, own)


def rules(found: Recommendation) -> tuple[Table | None, list[str]]:
    """How the answers of a check are compared: agreement by rule, None with less than two, and
    sentences on the references and the noise floor; [] for another run."""
    from eyechart.analysis.recommend_view import answers_text, rules_table

    return rules_table(found), [] if found.answers is None else answers_text(found.answers)


def own_files(run_directory: str | Path) -> OwnFiles | None:
    """The images' own files of a check; None for another run."""
    from eyechart.store.own_files import read_own_files

    with reading(run_directory) as folder:
        return read_own_files(folder)


def times(
    found: Recommendation, bandwidths: Sequence[float], own: OwnFiles | None = None
) -> tuple[Table, str]:
    """Seconds from image to answer at bandwidths in Mbit/s as a table, and the bandwidths at which
    another setting becomes the fastest, with what is unknown. own: as for the table."""
    from eyechart.analysis.times_view import times_table, times_text

    return times_table(found, bandwidths, own), times_text(found, own)


def parse_bandwidths(text: str) -> list[float]:
    """`0.5,2,10` as numbers. Raises InputError."""
    from eyechart.analysis.deployment import parse_bandwidths as parse

    return parse(text)


def require_plot(path: Path) -> None:
    """Check that a picture can be drawn. Raises InputError, PluginError."""
    from eyechart.report.plots import check_plot

    check_plot(path)


def draw(
    found: Recommendation,
    path: Path,
    *,
    what: Literal["front", "times"],
    own: OwnFiles | None = None,
) -> None:
    """The Pareto front, or the time to an answer over the bandwidth, as a picture. own: as for the
    table, for the times.

    Raises:
        InputError, PluginError, StoreError: see `report.deployment`.
    """
    from eyechart.report import deployment

    if what == "front":
        deployment.draw_front(found, path)
    else:
        deployment.draw_times(found, path, own)


def write_policy(found: Recommendation, path: Path) -> str:
    """Write the best setting as a JSON file; -> Python that applies it.

    Raises:
        InputError: no setting is recommended. StoreError: the file cannot be written.
    """
    from eyechart.analysis.policy import client_of, policy_of
    from eyechart.store.files import write_atomic

    policy = policy_of(found)
    write_atomic(path, f"{json.dumps(policy, indent=2)}\n".encode())
    return client_of(policy, path.name)
