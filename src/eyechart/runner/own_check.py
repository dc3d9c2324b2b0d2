"""Own images through codecs, without known answers: `eyechart check`.

    photographs -> questions -> VLM on uncompressed images -> references
                   yes/no probes of the objects it lists   -> references
                                VLM on compressed images   -> agreement with them

All steps are runs like any other, so a stopped check continues. Where all answers are known, the
first one is for the noise floor: a VLM behind a server may answer a question differently each time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from eyechart.codecs.jpeg_quality import jpeg_quality
from eyechart.core import plugins
from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import InputError, UnusableVLMError, in_one_line, one_line
from eyechart.core.files import is_file
from eyechart.core.hooks import HasPrices, is_remote
from eyechart.core.images import find_images, image_size, read_image
from eyechart.core.types import UNCOMPRESSED, Component, Question, component_of
from eyechart.runner.costs import usd_before
from eyechart.runner.engine import Outcome, refusals
from eyechart.runner.options import Options
from eyechart.runner.own_questions import default_questions, own_questions, yes_no_probes
from eyechart.runner.plan import CodecEntry, Plan, make_plan
from eyechart.runner.progress import Progress
from eyechart.runner.resolve import codec_levels, resolve
from eyechart.runner.start import check_devices, run_plan
from eyechart.runner.work import ModelConfig, Work
from eyechart.store import Store
from eyechart.store.files import write_atomic
from eyechart.store.own_files import OwnFiles, write_own_files
from eyechart.tasks.own_answers import PROBES, REFERENCE, OwnAnswers, own_answers
from eyechart.tasks.own_images import FILE, write_questions
from eyechart.vlms.token_cost import Prices

TASK = "OwnImages"
# Codecs and qualities that deployments choose from, and sizes for images that are larger.
CODECS = (
    "jpeg:levels=[10,20,30,50,75,90]",
    "webp:levels=[5,20,40,60,80]",
    "avif:levels=[10,25,40,60]",
)
SIZES_PX = (512, 768, 1024)
_FILES_TIMED = 10  # large photographs take some tenths of a second each
_SIZED = "jpeg:quality=[75,90],long_side={},restore=false"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCheck:
    """A finished check. own: the images' own files. left_out: files of the folder that are no
    image, or none that can be read. unanswered: questions that have no reference, because the VLM
    said nothing about the uncompressed image. answers: which of them were known, how far the VLM
    agrees with itself, and how answers are compared. usd_per_million: prices of the VLM's tokens,
    of questions and of answers; None if unknown."""

    outcome: Outcome
    images: int
    questions: int
    own: OwnFiles
    left_out: int
    unanswered: int
    answers: OwnAnswers
    usd_per_million: tuple[float, float] | None = None


def check_images(
    photos: Path,
    out: Path,
    *,
    vlm: str,
    codecs: Sequence[str] | None = None,
    today: str | None = None,
    questions: Path | None = None,
    max_images: int | None = None,
    most_questions: int | None = None,
    prices: Prices | None = None,
    progress: Progress,
    options: Options | None = None,
) -> OwnCheck:
    """Ask a VLM about own images, uncompressed and at every level of the codecs.

    photos: a folder of images. questions: a CSV file with the columns image (a path, from the
    folder of the photographs) and question, and perhaps answer; None: `QUESTIONS`, and yes/no
    probes. out: the run directory. codecs: None: `CODECS`, and smaller sizes. today: another codec
    with one level. max_images: use the first so many. most_questions: how many may be asked in all;
    None: any number. prices: of the VLM's tokens, for what is said about costs before it is asked;
    None: those that it knows.

    Raises:
        InputError: no images; more questions than that; a questions file that cannot be used or
            names an image that is not there; a directory of another check or run; as `run_plan`.
        StoreError: as `run_plan`.
    """
    found, left_out = _readable(photos)
    asked = default_questions(found) if questions is None else own_questions(questions, photos)
    images = list(dict.fromkeys(question.image for question in asked))[:max_images]
    chosen_images = set(images)
    asked = [question for question in asked if question.image in chosen_images]
    all_known = all(question.answer for question in asked)
    chosen = replace(options or Options(), batch_of_one_cell=True)
    own = _own_files(images)
    used = _with_today(_codecs(images) if codecs is None else codecs, today)
    if not used:
        raise InputError("codecs: none is given; allowed: names of `eyechart codec list`")
    model = _refuse_unusable(asked, used, vlm, chosen, most_questions, out, prices)
    usd_per_million = _prices(vlm, model)
    _refuse_other_check(out, asked if all_known else None)
    unanswered = 0
    if not all_known:
        every = len(asked)
        _refuse_other_check(out / REFERENCE, asked, model)
        Store(out).create()  # the folder of the references lies in it
        asked = _with_references(asked, out / REFERENCE, vlm, progress, chosen, prices)
        unanswered = every - len(asked)
        if not asked:
            why = _first_failure(out / REFERENCE)
            raise InputError(f"{vlm}: gave no answer about the uncompressed images{why}")
        if questions is None and (probes := yes_no_probes(asked)):
            _refuse_other_check(out / PROBES, probes, model)
            asked += _with_references(probes, out / PROBES, vlm, progress, chosen, prices)
    elif _repeats(out, model):
        Store(out).create()
        _run(asked, out / REFERENCE, [UNCOMPRESSED], vlm, progress, chosen, prices)
    outcome = _run(asked, out, [UNCOMPRESSED, *used], vlm, progress, chosen, prices)
    write_own_files(out, own)
    answers = own_answers(out, _component(model))
    assert answers is not None  # the run has just written its questions
    return OwnCheck(
        outcome=outcome,
        images=len(images),
        questions=len(asked),
        own=own,
        left_out=len(left_out),
        unanswered=unanswered,
        answers=answers,
        usd_per_million=usd_per_million,
    )


def _prices(vlm: str, model: ModelConfig) -> tuple[float, float] | None:
    """Prices of the VLM's tokens; None if unknown."""
    with plugins.guarded(vlm):
        opened = model.open()
        return opened.usd_per_million if isinstance(opened, HasPrices) else None


def _component(model: ModelConfig) -> Component:
    """The VLM as it is named in the cells of a check."""
    return model.by_task.get(TASK, model.vlm)


def _repeats(out: Path, model: ModelConfig) -> bool:
    """Whether questions with known answers are asked once more, about the uncompressed images: of a
    VLM behind a server. A check that began without it stays as it is, so that a finished one needs
    no server."""
    if not is_remote(model.open()):
        return False
    own = (cell for cell in Store(out).cells(skip_empty=True) if cell.cell.vlm == _component(model))
    return is_file(out / REFERENCE / FILE) or not any(cell.has_records() for cell in own)


def _readable(photos: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder, and the files that are none or whose size cannot be read.

    Raises InputError: there is no image.
    """
    found, others = find_images(photos)
    readable: list[Path] = []
    for path in found:
        (readable if image_size(path) != (0, 0) else others).append(path)
    if not readable:
        first = attempt("load", partial(read_image, found[0]))
        why = f"; the first: {first.message}" if isinstance(first, Failed) else ""
        raise InputError(f"{photos}: none of its {len(found)} images can be read{why}")
    return readable, others


def _first_failure(run_directory: Path) -> str:
    """` (message)` of a question without an answer; "" if there is none."""
    failures = (one for cell in Store(run_directory).cells() for one in cell.failures())
    return next((f" ({one_line(failure.message)})" for failure in failures), "")


def _own_files(images: Sequence[str]) -> OwnFiles:
    qualities = [jpeg_quality(Path(image)) for image in images]
    sizes = {image: Path(image).stat().st_size for image in images}
    return OwnFiles(
        files=len(images),
        mean_bytes=sum(sizes.values()) / len(images),
        jpeg_qualities=sorted(quality for quality in qualities if quality is not None),
        sizes=sizes,
        read_s=_read_s(images[:_FILES_TIMED]),
    )


def _read_s(images: Sequence[str]) -> float | None:
    """Mean seconds to read and decode a file; None if none of them can be."""
    seconds = []
    for image in images:
        start_s = time.perf_counter()
        if not isinstance(attempt("load", partial(read_image, Path(image))), Failed):
            seconds.append(time.perf_counter() - start_s)
    return fmean(seconds) if seconds else None


def _codecs(images: Sequence[str]) -> list[str]:
    """`CODECS`, and the sizes that are smaller than half of the images."""
    sides = sorted(max(image_size(Path(image))) for image in images)
    sizes = [size for size in SIZES_PX if size < sides[len(sides) // 2]]
    return [*CODECS, *([_SIZED.format(sizes).replace(" ", "")] if sizes else [])]


def _with_today(codecs: Sequence[str], today: str | None) -> list[str]:
    """The codecs, and today's if its level is not one of theirs. Raises InputError."""
    if today is None:
        return list(codecs)
    wanted = codec_levels(CodecEntry(codec=today))
    if len(wanted.levels) != 1:
        raise InputError(f"{today}: has {len(wanted.levels)} levels; allowed is one, as in jpeg:85")
    for spec in codecs:
        entry = codec_levels(CodecEntry(codec=spec))
        same = component_of(entry.codec) == component_of(wanted.codec)
        if same and wanted.levels[0].name in [level.name for level in entry.levels]:
            return list(codecs)
    return [*codecs, today]


def _with_references(
    asked: Sequence[Question],
    out: Path,
    vlm: str,
    progress: Progress,
    options: Options,
    prices: Prices | None,
) -> list[Question]:
    """The questions with the VLM's answers on uncompressed images where they have none. Questions
    that it did not answer are left out."""
    outcome = _run(asked, out, [UNCOMPRESSED], vlm, progress, options, prices)
    outcome.raise_unusable()
    said = {
        record.question_id: record.answer.strip()
        for cell in Store(out).cells()
        for record in cell.records()
    }
    # The run numbered them anew, as rows of its file.
    filled = [
        replace(question, answer=question.answer or said.get(str(row), ""))
        for row, question in enumerate(asked)
    ]
    return [question for question in filled if question.answer]


def _run(
    asked: Sequence[Question],
    out: Path,
    codecs: Sequence[str],
    vlm: str,
    progress: Progress,
    options: Options,
    prices: Prices | None,
) -> Outcome:
    _refuse_other_check(out, asked)
    Store(out).create()
    write_atomic(out / FILE, write_questions(asked))
    return run_plan(_plan(vlm, codecs, out / FILE), out, progress, options, prices=prices)


def _refuse_other_check(
    out: Path, asked: Sequence[Question] | None, model: ModelConfig | None = None
) -> None:
    """Refuse a run directory with other answers, before its questions are replaced.

    asked: the questions that it must be about; None: any of a check, while references are unknown.
    model: the VLM that its answers must be of, because they are the references; None: any.
    """
    store = Store(out)
    if not is_file(out / "run.json"):
        return
    store.info()
    answered = [cell.cell for cell in store.cells(skip_empty=True) if cell.has_records()]
    if not answered:
        return
    vlm = None if model is None else _component(model)
    if vlm is not None and any(cell.vlm != vlm for cell in answered):
        raise InputError(f"{out}: holds the answers of another VLM; choose another run directory")
    path = out / FILE
    same = is_file(path) and (asked is None or path.read_bytes() == write_questions(asked))
    if not same:
        raise InputError(f"{out}: holds answers to other questions; choose another run directory")


def _refuse_unusable(
    asked: Sequence[Question],
    codecs: Sequence[str],
    vlm: str,
    options: Options,
    most_questions: int | None,
    out: Path,
    prices: Prices | None,
) -> ModelConfig:
    """Raise what `run_plan` would raise about VLM and codecs, that the VLM of a new check cannot
    answer, or that there are too many questions, before anything is written; -> the VLM."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(write_questions(asked))
        work = resolve(
            _plan(vlm, [UNCOMPRESSED, *codecs], path),
            device=options.device,
            open_workers=options.open_workers,
        )
        if not work.models:
            raise InputError(in_one_line(work.unusable))
        check_devices(work, options)
        _refuse_too_many(work, len(asked), most_questions, prices)
        # A check that is complete needs no server.
        if not Store(out).is_run() and (refused := refusals(work, Store(out))):
            raise UnusableVLMError(in_one_line(list(refused.values())))
    return work.models[0]


def _refuse_too_many(work: Work, questions: int, most: int | None, prices: Prices | None) -> None:
    """Raises InputError, which says how many questions there would be, and what they cost."""
    settings = sum(len(entry.levels) for entry in work.codecs)
    count = settings * questions
    if most is None or count <= most:
        return
    usd = usd_before(work.models[0].open(), [(work.tasks[0], count)], prices)
    cost = "" if usd is None else f", about {usd}"
    raise InputError(
        f"{settings:,} settings x {questions:,} questions are {count:,} questions to "
        f"{work.models[0].label}{cost}; more than {most:,} need --yes"
    )


def _plan(vlm: str, codecs: Sequence[str], data: Path) -> Plan:
    return make_plan(
        {
            "title": "Own images",
            "vlms": [vlm],
            "tasks": [TASK],
            "codecs": list(codecs),
            "data": str(data.resolve()),
        },
        "check",
    )
