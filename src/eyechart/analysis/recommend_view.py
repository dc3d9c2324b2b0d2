"""A recommendation as tables and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from eyechart.analysis.codec_names import setting_label
from eyechart.analysis.deployment import Costs
from eyechart.analysis.loss_bounds import LEAST_IMAGES
from eyechart.analysis.recommend import Recommendation, Setting
from eyechart.analysis.table import Entry, Mark, Table, TableRow
from eyechart.core.units import counted
from eyechart.store.own_files import OwnFiles
from eyechart.tasks.own_answers import OwnAnswers

# Name, decimals and value of a column.
_FigureColumn: TypeAlias = tuple[str, int, Callable[[Setting], float | None]]
AGREEMENT, SCORE, USD = "agreement, %", "score, %", "$ per 1,000 images"
_UNIT_WORDS = {"bytes": "kB", "tokens": "visual tokens", "usd": "US dollars", "seconds": "seconds"}
_FAILED_NOTE = (
    "failed: images with a question that got no answer at this setting; it counts as a loss of "
    "100, and the image as sent without the codec"
)
_FAILED_NAMED = 3  # settings in a sentence


def recommendation_table(found: Recommendation, own: OwnFiles | None = None) -> Table:
    """The settings as a table. own: the user's own files, to compare sizes with."""
    columns = _columns(found, own)
    rows = [_reference_row(found, own, [name for name, _, _ in columns])]
    for one in found.settings:
        mark: Mark = "best" if one is found.best else ""
        entries = [
            Entry(
                value=values(one),
                decimals=decimals,
                mark=mark if name == "at most" else "",
            )
            for name, decimals, values in columns
        ]
        rows.append(TableRow(keys=(one.codec, one.level), entries=tuple(entries)))
    images = max(one.images for one in found.settings)
    return Table(
        title=f"{found.name}: loss of the mean score, in points of 100, over "
        f"{counted(images, 'image')}",
        keys=("codec", "level"),
        column_kind="figure",
        columns=tuple(name for name, _, _ in columns),
        rows=tuple(rows),
        legend=(
            f"at most: 95 % certain for all codecs together; allowed: {found.tolerance:g}. "
            "lost: questions right on the uncompressed image only; gained: on the compressed only"
            + _agreement_note(found.answers)
            + (f". {_FAILED_NOTE}" if any(one.measured.failed for one in found.settings) else "")
            + (f". {_usd_note(found)}" if any(one.costs.usd for one in found.settings) else "")
        ),
        compact=True,
    )


def _reference_row(found: Recommendation, own: OwnFiles | None, columns: Sequence[str]) -> TableRow:
    """What every setting is compared with: the uncompressed image, or the user's own file of it."""
    costs = own_costs(found, own)
    known: dict[str, tuple[float | None, int]] = {
        "kB an image": (costs.size_bytes / 1000, 1),
        "of own files, %": (100.0, 0),
        AGREEMENT: (found.agreement, 1),
        SCORE: (found.agreement, 1),
        "tokens": (costs.tokens, 0),
        USD: (_thousandfold(costs.usd), 4),
        "of own $, %": (100.0, 0),
        "VLM, ms": (_thousandfold(costs.answer_s), 0),
    }
    entries = [known.get(name, (None, 0)) for name in columns]
    return TableRow(
        keys=("own files" if own else "uncompressed", own.format if own else ""),
        entries=tuple(Entry(value=value, decimals=decimals) for value, decimals in entries),
    )


def own_costs(found: Recommendation, own: OwnFiles | None) -> Costs:
    """Of the user's own files, which the VLM sees as the uncompressed images; else of these."""
    costs = found.uncompressed
    return costs if own is None else _of_files(costs, own.mean_bytes, own)


def _costs_before(found: Recommendation, one: Setting, own: OwnFiles | None) -> Costs:
    """As `own_costs`, of the images of a setting."""
    costs = one.measured.uncompressed or found.uncompressed
    if own is None:
        return costs
    return _of_files(costs, one.measured.file_bytes or own.mean_bytes, own)


def _of_files(costs: Costs, size_bytes: float, own: OwnFiles) -> Costs:
    """Costs of uncompressed images, as those of files: these are there, so nothing is encoded."""
    return replace(costs, size_bytes=size_bytes, encode_s=0.0, decode_s=own.read_s)


def _thousandfold(value: float | None) -> float | None:
    return None if value is None else 1000 * value


def _usd_note(found: Recommendation) -> str:
    """What the dollars are for."""
    costs = found.uncompressed
    if costs.token_usd is None:
        return "$: the transfer of the images"
    transfer = "" if costs.usd_per_gb is None else ", and the transfer"
    return f"$: every image sent with one question; input tokens, those of the answer{transfer}"


def _agreement_note(answers: OwnAnswers | None) -> str:
    """What the answers are compared with, for the legend."""
    if answers is None:
        return ""
    own = "what the VLM says about the uncompressed image"
    others = answers.questions - answers.known
    if answers.known and others:
        known = f"the known answers of {counted(answers.known, 'question')}"
        return f". agreement: with {known}, with {own} of {others:,}"
    return f". agreement: with {'the known answers' if answers.known else own}"


def answers_text(answers: OwnAnswers) -> list[str]:
    """By which rules the answers of a check are compared, and with what; how far the VLM gives that
    without compression."""
    compared = ", ".join(f"{rule} ({count:,})" for rule, count in answers.rule_counts.items())
    parts = []
    if answers.right is not None:
        parts.append(
            f"known answers of {counted(answers.known, 'question')}; on the uncompressed images "
            f"{100 * answers.right:.1f} % of them are right"
        )
    if others := answers.questions - answers.known:
        of = f" ({counted(others, 'question')})" if parts else ""
        parts.append(f"what the VLM says about the uncompressed image{of}")
    text = f"Reference: {'. Of the others: '.join(parts)}."
    if answers.repeated is not None:
        count = (
            "" if answers.twice == answers.questions else f" ({counted(answers.twice, 'question')})"
        )
        text += (
            f" Asked again{count}, the VLM agrees with itself to {100 * answers.repeated:.1f} %."
        )
    return [f"Answers are compared by: {compared}.", text]


def rules_table(found: Recommendation) -> Table | None:
    """Agreement by the rule of the comparison; None without a second rule."""
    rules = {} if found.answers is None else found.answers.rule_counts
    if len(rules) < 2:
        return None
    rows = [
        TableRow(
            keys=(one.codec, one.level),
            entries=tuple(
                Entry(value=_percent(one.measured.by_rule.get(rule)), decimals=1) for rule in rules
            ),
        )
        for one in found.settings
    ]
    return Table(
        title=f"{found.name}: agreement in % by the rule of the comparison",
        keys=("codec", "level"),
        column_kind="rule",
        columns=tuple(f"{rule} ({count:,})" for rule, count in rules.items()),
        rows=tuple(rows),
        legend="in brackets: questions",
        compact=True,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _columns(found: Recommendation, own: OwnFiles | None) -> list[_FigureColumn]:
    """Name, decimals and value of each column; those that are unknown everywhere are left out."""

    def of_files(one: Setting, unit: str) -> float | None:
        if own is None:
            return None
        saving = replace(found.saving, unit=unit)
        now, then = saving.value(one.costs), saving.value(_costs_before(found, one, own))
        return 100 * now / then if now and then else None

    partly = len({one.images for one in found.settings}) > 1
    failing = any(one.measured.failed for one in found.settings)
    columns: list[_FigureColumn] = [
        ("kB an image", 1, lambda one: one.bytes_per_image / 1000),
        ("of own files, %", 0, lambda one: of_files(one, "bytes")),
        (AGREEMENT if own else SCORE, 1, lambda one: _percent(one.measured.score)),
        ("images", 0, lambda one: one.images if partly else None),
        ("failed", 0, lambda one: one.measured.failed if failing else None),
        ("loss", 1, lambda one: one.loss),
        ("at most", 1, lambda one: one.upper),
        ("lost, %", 1, lambda one: _percent(one.measured.lost)),
        ("gained, %", 1, lambda one: _percent(one.measured.gained)),
        ("tokens", 0, lambda one: one.costs.tokens),
        (USD, 4, lambda one: _thousandfold(one.costs.usd)),
        ("of own $, %", 0, lambda one: of_files(one, "usd")),
        ("encode, ms", 0, lambda one: _thousandfold(one.costs.encode_s)),
        ("decode, ms", 0, lambda one: _thousandfold(one.costs.decode_s)),
        ("VLM, ms", 0, lambda one: _thousandfold(one.costs.answer_s)),
        ("bpp", 3, lambda one: one.bpp),
    ]
    return [
        column for column in columns if any(column[2](one) is not None for one in found.settings)
    ]


def recommendation_text(found: Recommendation, own: OwnFiles | None = None) -> str:
    """The recommendation in one or two sentences."""
    return " ".join(recommendation_sentences(found, own))


def recommendation_sentences(found: Recommendation, own: OwnFiles | None = None) -> list[str]:
    """The recommendation, short enough for a title, and what follows from it."""
    best = found.best
    if best is None:
        return [*_undecided(found), *_failed(found)]
    parts = _savings(found, best, own)
    return [
        f"Recommended for {found.name}: {_name(best)}, which loses at most {best.upper:.1f} "
        f"points ({found.tolerance:g} allowed), with {best.bytes_per_image / 1000:.1f} kB an "
        "image.",
        *([f"That is {', '.join(parts)}."] if parts else []),
        *_failed(found),
    ]


def _undecided(found: Recommendation) -> list[str]:
    """Why no setting is recommended, and what would change it."""
    # Of each codec, the first setting that is not good needs the fewest images.
    first = {one.codec: one for one in reversed(found.settings) if not one.good}
    likely = min(
        (one for one in reversed(first.values()) if one.images_needed),
        key=lambda one: one.images_needed or 0,
        default=None,
    )
    if likely is None:
        least = min(first.values(), key=lambda one: one.loss)
        return [
            f"{found.name}: no setting is shown to lose at most {found.tolerance:g} points.",
            f"Of the settings that are tested first (the highest rate of each codec), "
            f"{_name(least)} lost the least: {least.loss:.1f}. "
            "Run higher rates, or allow a greater loss.",
        ]
    lossless = min(
        (one for one in found.settings if one.loss <= 0 and not one.measured.lost),
        key=lambda one: one.bytes_per_image,
        default=None,
    )
    few = max(one.images for one in found.settings) < LEAST_IMAGES
    return [
        f"{found.name}: no setting is shown to lose at most {found.tolerance:g} points yet.",
        *([f"At least {LEAST_IMAGES} images are needed."] if few else []),
        f"About {counted(likely.images_needed or 0, 'more image')} would decide "
        f"{_name(likely)}, which lost {likely.loss:.1f} points on these.",
        *(
            [
                f"The smallest setting that lost nothing here: {_name(lossless)}, "
                f"{lossless.bytes_per_image / 1000:.1f} kB an image."
            ]
            if lossless is not None
            else []
        ),
    ]


def _failed(found: Recommendation) -> list[str]:
    """Which settings failed on images, those with the most first."""
    failing = [one for one in found.settings if one.measured.failed]
    failing.sort(key=lambda one: -one.measured.failed)
    parts = [
        f"{_name(one)} failed on {one.measured.failed} of {counted(one.images, 'image')}"
        for one in failing[:_FAILED_NAMED]
    ]
    if more := len(failing) - len(parts):
        parts.append(f"{counted(more, 'more setting')} failed")
    return [f"{'; '.join(parts)}: these count as lost."] if parts else []


def _name(one: Setting) -> str:
    return setting_label(one.codec, one.level)


def _savings(found: Recommendation, best: Setting, own: OwnFiles | None) -> list[str]:
    """What the best setting saves: against the files, against today, in the chosen unit."""
    parts = []
    if own is not None:
        files = _costs_before(found, best, own)
        parts.append(_change(best.bytes_per_image, files.size_bytes, "bytes", "the files"))
        if best.costs.usd is not None and files.usd:
            less = 1000 * (files.usd - best.costs.usd)
            change = _change(best.costs.usd, files.usd, "US dollars", "the files")
            size = f"{abs(less):.2f}" if abs(less) >= 0.01 else f"{abs(less):.2g}"
            words = f"${size} {'less' if less >= 0 else 'more'} per 1,000 images ({change})"
            parts.append(change if change.startswith("as many") else words)
    before, name = (
        (_costs_before(found, best, None), "uncompressed images")
        if found.today is None
        else (found.today.costs, f"today ({_name(found.today)})")
    )
    units = ["tokens"] if found.today is None else ["bytes", "tokens"]
    units = list(dict.fromkeys([*units, found.saving.unit]))
    for unit in units:
        saving = replace(found.saving, unit=unit)
        files_take = own is not None and found.today is None and unit == "seconds"
        costs, than = (
            (_costs_before(found, best, own), "the files") if files_take else (before, name)
        )
        now, then = saving.value(best.costs), saving.value(costs)
        against_files = own is not None and unit == "usd"  # said above
        if (
            now is not None
            and then
            and not (found.today is None and (unit == "bytes" or against_files))
        ):
            parts.append(_change(now, then, _UNIT_WORDS[unit].replace("kB", "bytes"), than))
    return parts


def _change(now: float, then: float, unit: str, name: str) -> str:
    percent = 100 * (1 - now / then)
    if abs(percent) < 0.5:
        return f"as many {unit} as {name}"
    return f"{abs(percent):.0f} % {'fewer' if percent > 0 else 'more'} {unit} than {name}"
