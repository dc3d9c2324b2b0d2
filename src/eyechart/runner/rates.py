"""Measured speeds of VLMs, from the package, a file or a run directory.

    questions_per_s: 31      speed of a whole run, or
    image_s: 0.05            seconds for each image (vision tower, shared prefix)
    question_s: 0.004        and seconds for each of its questions
    hardware: NVIDIA H100    where this was measured

Two numbers fit both tasks with one question on each image (SEEDBench) and tasks with thirty-two
(GQA). One number fits only the tasks that it was measured on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.files import URL, is_dir, read_text
from eyechart.runner.strict_yaml import load_yaml
from eyechart.store.files import write_atomic

if TYPE_CHECKING:
    from eyechart.runner.engine import Speed

FILE_NAME = "rates.yaml"  # in the package, and in a run directory
MIN_QUESTIONS = 200  # a shorter measurement is not reliable

_MOST_BYTES = 1 << 20  # of a file of rates
_Seconds = Annotated[float, Field(ge=0)]


class AnswerRate(BaseModel):
    """One VLM's speed, in one of the two forms above."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    questions_per_s: Annotated[float, Field(gt=0)] | None = None
    image_s: _Seconds | None = None
    question_s: _Seconds | None = None
    hardware: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> AnswerRate:
        pair = (self.image_s is None, self.question_s is None)
        if pair != ((True, True) if self.questions_per_s is not None else (False, False)):
            raise ValueError("give questions_per_s alone, or image_s and question_s")
        return self

    def answer_s(self, *, images: float, questions: float) -> float:
        """Seconds for a number of images with a number of questions in all."""
        if self.questions_per_s is not None:
            return questions / self.questions_per_s
        return images * (self.image_s or 0) + questions * (self.question_s or 0)

    @property
    def words(self) -> str:
        """`31/s NVIDIA H100`, `50 ms an image + 4 ms a question NVIDIA H100`."""
        if self.questions_per_s is not None:
            speed = f"{self.questions_per_s:.3g}/s"
        else:
            image_ms, question_ms = 1000 * (self.image_s or 0), 1000 * (self.question_s or 0)
            speed = f"{image_ms:.3g} ms an image + {question_ms:.3g} ms a question"
        return f"{speed} {self.hardware}".strip()


_RATES = TypeAdapter(dict[str, AnswerRate])


def built_in_rates() -> dict[str, AnswerRate]:
    """The measured speeds in the package."""
    return _parse(resources.files(__package__).joinpath(FILE_NAME).read_text("utf-8"), FILE_NAME)


def load_rates(place: Path) -> dict[str, AnswerRate]:
    """Rates by VLM from a YAML file, or from a run directory that has answered enough.

    Raises:
        InputError: no such file, not YAML, or an entry that is not a rate.
    """
    path = place / FILE_NAME if is_dir(place) else place
    try:
        return _parse(read_text(path, _MOST_BYTES), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(
            f"rates {str(path)!r} cannot be read ({reason}); give a YAML file, or a run directory "
            f"that answered {MIN_QUESTIONS} questions at one go"
        ) from error


def save_rates(path: Path, rates: Mapping[str, AnswerRate]) -> None:
    """Add rates to a file and keep those of other VLMs. Raises StoreError."""
    try:
        before = load_rates(path) if path.is_file() else {}
    except InputError:  # damaged: it is replaced, because it holds no results
        before = {}
    entries = {
        name: rate.model_dump(exclude_none=True, exclude_defaults=True)
        for name, rate in {**before, **rates}.items()
    }
    write_atomic(path, yaml.safe_dump(entries, sort_keys=True, allow_unicode=True).encode())


def keep_rates(speeds: Iterable[Speed], run_dir: Path, device: str) -> None:
    """Store the speeds of a run with enough answers in its directory. Raises StoreError."""
    where = f"in {run_dir.name}, device {device}"
    rates = {
        speed.vlm: AnswerRate(
            questions_per_s=float(f"{speed.questions / speed.seconds:.3g}"), hardware=where
        )
        for speed in speeds
        if speed.questions >= MIN_QUESTIONS and speed.seconds > 0
    }
    if rates:
        save_rates(run_dir / FILE_NAME, rates)


def split_cost(once_s: float, many_s: float, images: int, questions: int) -> tuple[float, float]:
    """Seconds per image and seconds per question.

    once_s, many_s: time of all images with one question each, and with `questions` (2 or more)
    questions each.
    """
    question_s = max(0.0, (many_s - once_s) / (images * (questions - 1)))
    return max(0.0, once_s / images - question_s), question_s


def rate_of(spec: str, rates: Mapping[str, AnswerRate]) -> AnswerRate | None:
    """The rate of a VLM given by name, hub id, directory or URL; its options are ignored.

    If `NAME + ADAPTER` was not measured, the rate of NAME is used.
    """
    from eyechart.vlms import known_vlms

    vlm = spec.partition(" + ")[0]
    plain = plugins.parse_spec_or_directory(vlm)[0]
    is_folder = is_dir(plain) or URL.match(plain)
    names = [spec, vlm, plain, Path(plain).name if is_folder else plain.lower()]
    names += [
        known.name for _, known in known_vlms() if known.hub_id.lower() == plain.lower() != ""
    ]
    return next((rates[name] for name in names if name in rates), None)


def _parse(text: str, name: str) -> dict[str, AnswerRate]:
    try:
        value = load_yaml(text)
    except ValueError as error:
        raise InputError(f"rates {name!r} cannot be read: {error}") from error
    try:
        return _RATES.validate_python(value or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
        if first["type"] in ("model_type", "dict_type"):
            reason = "not a mapping (lines of `key: value`)"
        parts = (f"rates {name!r}", where, str(reason))
        raise InputError(": ".join(filter(None, parts))) from error
