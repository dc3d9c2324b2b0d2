"""One codec or task in detail, and the conformance check of a codec as a report."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyechart.core import plugins
from eyechart.core.errors import EyechartError
from eyechart.core.hooks import HasFile, OpenLevels, facts_of
from eyechart.core.kinds import annotations_of, kind_name
from eyechart.core.types import Codec, Level, Question, Task, is_neural

if TYPE_CHECKING:
    from eyechart.core.hooks import PublishedFile
    from eyechart.testing.codecs import CodecReport

_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedOption:
    """An option of a codec. used: its value in the opened codec, "" if it does not say."""

    name: str
    default: str
    allowed: str
    used: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedCodec:
    """A codec. reproducible: whether its decoded images are equal on all devices. no_levels: how to
    get levels if there are none. open_levels: other values of its knob can be levels, too."""

    name: str
    text: str
    version: str
    reproducible: str
    levels: tuple[Level, ...]
    no_levels: str
    open_levels: bool
    options: tuple[DescribedOption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedFile:
    """The file of a task. facts: about its content, by label. official: its name if it is a
    published file by its md5, else "". published: the published files."""

    path: Path
    origin: str
    facts: Mapping[str, str]
    md5: str
    official: str
    published: tuple[PublishedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleQuestion:
    """A question as a VLM gets it. references: reference answers."""

    id: str
    category: str
    image: str
    width_px: int
    height_px: int
    prompt: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTask:
    """A task. file: None if it has its data from elsewhere. categories: name -> questions."""

    name: str
    version: str
    headline_metric: str
    questions: int
    images: int
    file: DescribedFile | None
    categories: Mapping[str, int]
    examples: tuple[ExampleQuestion, ...]


def describe_codec(spec: str) -> DescribedCodec:
    """A codec's description, version, levels and options. spec: its name, with options.

    Raises:
        PluginError, InputError: as `open_codec`.
    """
    from eyechart.codecs import open_codec, parse_codec
    from eyechart.codecs.opening import plugin_of
    from eyechart.store.remote import small_downloads

    name, _ = parse_codec(spec)
    with small_downloads(), plugins.guarded(name):
        codec = open_codec(spec)
        levels = tuple(codec.levels)
    factory = plugins.load_factory("eyechart.codecs", plugin_of(name))
    # With sizes, target rates or earlier steps, the class of `codec` says nothing of the plug-in.
    described = factory if isinstance(factory, type) else type(codec)
    with plugins.guarded(name):
        return DescribedCodec(
            name=name,
            text=inspect.getdoc(described) or "(no description)",
            version=_version(codec),
            reproducible=facts_of(codec).reproducible,
            levels=levels,
            no_levels="" if levels else _how_to_get_levels(codec),
            open_levels=isinstance(codec, OpenLevels),
            options=tuple(_options(factory, codec)),
        )


def _version(codec: Codec) -> str:
    try:
        return codec.version
    except EyechartError as error:  # a program that the version is asked of is missing
        return f"unknown ({error})"


def _how_to_get_levels(codec: Codec) -> str:
    if is_neural(codec):
        try:
            codec.check()
        except EyechartError as error:
            return str(error).removeprefix(f"{codec.name}: ")
    return "its options name none"


def _options(factory: Any, codec: Codec) -> list[DescribedOption]:
    annotations = annotations_of(factory)
    return [
        DescribedOption(
            name=option,
            default="" if parameter.default is parameter.empty else str(parameter.default),
            allowed=kind_name(annotations[option]) if option in annotations else "",
            used=str(codec.options[option]) if option in codec.options else "",
        )
        for option, parameter in inspect.signature(factory).parameters.items()
    ]


def examine_codec(spec: str, *, device: str = "cpu") -> CodecReport:
    """The checks of `check_codec` on a codec by name, as a report with failures.

    device: of a codec with weights; of several, the first is used.

    Raises:
        PluginError, InputError: as `open_codec`; the device cannot be used.
    """
    from eyechart.codecs import open_codec, parse_codec
    from eyechart.testing import examine_codec as examine
    from eyechart.vlms.devices import codec_devices

    name, options = parse_codec(spec)
    codec = open_codec(spec)
    with plugins.guarded(name):
        used = codec_devices(device, needed=is_neural(codec))[0]
        return examine(codec, options=options, device=used)


def describe_task(spec: str, *, data: str | None = None) -> DescribedTask:
    """A task's file, categories, and a question of each of its first categories.

    Raises:
        PluginError, InputError: as `open_task`; its data cannot be read.
    """
    from eyechart.api.opening import open_task

    task = open_task(spec, data=data)
    with plugins.guarded(plugins.parse_spec(spec)[0]):
        return _described(task)


def _described(task: Task) -> DescribedTask:
    questions = task.questions()
    categories = Counter(question.category for question in questions)
    first = {question.category: question for question in reversed(questions)}
    shown = sorted(first.values(), key=questions.index)[:_EXAMPLES]
    return DescribedTask(
        name=task.name,
        version=task.version,
        headline_metric=task.headline_metric,
        questions=len(questions),
        images=len({question.image for question in questions}),
        file=_file(task),
        categories=dict(sorted(categories.items())) if any(categories) else {},
        examples=tuple(_example(task, question) for question in shown),
    )


def _file(task: Task) -> DescribedFile | None:
    if not isinstance(task, HasFile) or (file := task.data_file()).path is None:
        return None
    with file.path.open("rb") as opened:
        md5 = hashlib.file_digest(opened, "md5").hexdigest()
    known = next((one.name for one in file.published if one.md5 == md5), "")
    return DescribedFile(
        path=file.path,
        origin=file.origin,
        facts=dict(task.describe_file()),
        md5=md5,
        official=known,
        published=file.published,
    )


def _example(task: Task, question: Question) -> ExampleQuestion:
    height_px, width_px, _ = task.image(question.image).shape
    return ExampleQuestion(
        id=question.id,
        category=question.category,
        image=question.image,
        width_px=width_px,
        height_px=height_px,
        prompt=task.prompt(question, "default").rstrip("\n"),
        references=tuple(_references(question)),
    )


def _references(question: Question) -> Sequence[str]:
    """The reference answer, or each of several."""
    try:
        several = json.loads(question.answer)
    except json.JSONDecodeError:
        return [question.answer]
    return [str(one) for one in several] if isinstance(several, list) else [question.answer]
