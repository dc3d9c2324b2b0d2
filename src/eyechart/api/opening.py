"""Codecs, tasks, VLMs and adapters by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.types import VLM, Codec, Json, Task

if TYPE_CHECKING:
    from eyechart.adapters.package import LoadedAdapter

PluginKind: TypeAlias = Literal["codecs", "tasks", "vlms"]


def names(kind: PluginKind) -> list[str]:
    """The names that can be opened: built-in ones and those of installed plug-ins, sorted.

    Examples:
        >>> "jpeg" in eyechart.names("codecs")
        True
    """
    if kind == "vlms":
        from eyechart.vlms import vlm_names

        return vlm_names()
    if kind not in ("codecs", "tasks"):
        raise InputError(f"kind is {kind!r}; allowed: codecs, tasks, vlms")
    return plugins.names(cast("plugins.Group", f"eyechart.{kind}"))


def open_codec(spec: str, /, **options: Json) -> Codec:
    """A codec by name, with options.

    Raises:
        PluginError: unknown name or option, an option of a wrong kind, a missing package.
        InputError: an option's value is not allowed.

    Examples:
        >>> codec = eyechart.open_codec("jpeg", levels=[10, 30])
        >>> [level.name for level in codec.levels]
        ['10', '30']
        >>> import numpy as np
        >>> image = np.zeros((48, 64, 3), np.uint8)  # (height, width, 3), sRGB
        >>> bitstream = codec.encode(image, codec.levels[0])
        >>> bitstream.bpp == 8 * len(bitstream.payload) / (48 * 64)
        True
        >>> codec.decode(bitstream).shape
        (48, 64, 3)
    """
    from eyechart.codecs import open_codec as open_named

    return open_named(spec, **options)


def open_task(spec: str, /, *, data: str | Path | None = None, **options: Json) -> Task:
    """A task (benchmark) by name, with options. Its file is read at the first question.

    data: folder with the task's file, or the file. None: $EYECHART_DATA or $LMUData, else the
        built-in chart, which is also called `eyechart-mini`.

    Raises:
        PluginError: unknown name or option, an option of a wrong kind.
        InputError: an option's value is not allowed.

    Examples:
        >>> task = eyechart.open_task("POPE", data="eyechart-mini")
        >>> question = task.questions()[0]
        >>> task.score(question, question.answer).value
        1.0
        >>> task.image(question.image).dtype
        dtype('uint8')
    """
    from eyechart.tasks import open_task as open_named

    name, given = plugins.parse_spec(spec)
    return open_named(name, {**given, **options}, None if data is None else str(data))


def open_vlm(
    spec: str, /, *, adapter: str | Path | None = None, device: str = "auto", **options: Json
) -> VLM:
    """A VLM by name, Hugging Face id or directory, with options.

    Its weights load with its first answer.

    adapter: a trained adapter by directory or name.
    device: `auto`, `cpu`, `cuda:1`; `cuda:0,cuda:1` or `all` for a copy on each of these GPUs;
        `map` to spread one copy over all GPUs.

    Raises:
        PluginError: unknown name or option, an option of a wrong kind, a missing package.
        InputError: a directory without usable weights; a device or an adapter it cannot take.

    Examples:
        >>> vlm = eyechart.open_vlm("eyechart-mini", device="cpu")
        >>> task = eyechart.open_task("POPE", data="eyechart-mini")
        >>> question = task.questions()[0]
        >>> request = eyechart.Request(
        ...     image=task.image(question.image), prompts=(task.prompt(question, vlm.family),)
        ... )
        >>> [[answer]] = vlm.answer([request], eyechart.Decoding(max_new_tokens=8))
        >>> answer.tokens <= 8
        True
        >>> task.score(question, answer.text).value in (0.0, 1.0)
        True
    """
    from eyechart.vlms import open_vlm as open_named

    name, given = plugins.parse_spec_or_directory(spec)
    chosen: dict[str, Any] = {"device": device, **given, **options}
    return open_named(name, adapter=None if adapter is None else str(adapter), **chosen)


def open_adapter(name_or_directory: str | Path, /) -> LoadedAdapter:
    """A trained adapter from its directory, or by the name of one that ships with eyechart.

    Loads torch. `open_vlm(..., adapter=...)` attaches one to a VLM.

    Raises:
        InputError: not an adapter, or a damaged one.

    Examples:
        >>> adapter = eyechart.open_adapter("universal")
        >>> adapter.config.trained_codecs[:4]
        ('source', 'jpeg', 'hevc', 'vvc')
    """
    from eyechart.adapters.package import open_adapter as open_named

    return open_named(name_or_directory)
