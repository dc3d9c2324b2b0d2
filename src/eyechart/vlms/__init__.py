"""Vision-language models: one file for each family, and the engine that answers questions.

    Request (image + prompts) -> image -> vision tower -> shared prefix -> all answers together

Neither importing this package nor opening a VLM loads torch; the first answer does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from eyechart.core import plugins
from eyechart.core.errors import BrokenPluginError, InputError, PluginError
from eyechart.core.files import URL, is_dir
from eyechart.core.hooks import is_remote, takes
from eyechart.core.pool import WorkerPool
from eyechart.core.types import VLM, Json
from eyechart.core.workers import ClusterWorkers, OpenWorkers
from eyechart.store.url_folders import downloaded
from eyechart.vlms.checkpoint_files import model_type_of
from eyechart.vlms.devices import devices_of
from eyechart.vlms.families import (
    Family,
    KnownVLM,
    all_families,
    family,
    family_named,
    family_of_type,
    known_vlms,
)
from eyechart.vlms.hub import hub_model_type

__all__ = ["Family", "KnownVLM", "known_vlms", "model_types", "open_vlm", "vlm_names"]


def vlm_names() -> list[str]:
    """Names that `open_vlm` opens without a hub id or directory: known VLMs and plug-ins."""
    return sorted({*plugins.names("eyechart.vlms"), *(known.name for _, known in known_vlms())})


def model_types() -> list[str]:
    """`model_type` in config.json of all checkpoints that `open_vlm` can open."""
    return sorted({kind for one in all_families().values() for kind in one.model_types})


def open_vlm(
    name_or_path: str,
    /,
    *,
    adapter: str | None = None,
    device: str = "auto",
    open_workers: OpenWorkers = WorkerPool,
    **options: Json,
) -> VLM:
    """A VLM by name, hub id, directory or its URL; its first answer loads the weights.

    name_or_path: `eyechart-mini`, a name of the paper (`qwen2.5-vl-3b`), a plug-in's name, a
        family's name with the option `model`, a hub id (`Qwen/Qwen2.5-VL-3B-Instruct`) or a
        directory written by `save_pretrained`, or its URL (`s3://bucket/folder`), of which each
        machine makes a local copy.
    adapter: a trained adapter by directory or name, attached before the first answer;
        with `:conditioning=unknown` after it, that conditioning replaces its own.
    device: `auto`, `cpu`, `cuda`, `cuda:1`; `cuda:0,cuda:1` or `all` for a copy on each of these
        GPUs, in a process of its own; `map` to spread one model over all GPUs.
    open_workers: opens the workers of several copies.
    options: the family's own, for example `max_pixels` or `dtype`.

    Raises:
        PluginError: unknown name (with the near ones), missing package, unknown option.
        InputError: a directory without config or weights, or of a family that is not supported;
            an impossible device; a device or an adapter for a plug-in that takes none; nothing is
            at the URL, or its object store cannot be used.
    """
    opener, model = _resolve(name_or_path)
    if adapter is not None:
        options["adapter"] = adapter
    if model is not None:
        options["model"] = model
    factory = opener.factory()
    cluster = isinstance(open_workers, ClusterWorkers)
    places = (
        open_workers.devices if isinstance(open_workers, ClusterWorkers) else devices_of(device)
    )
    if adapter is not None and not takes(factory, "adapter"):
        raise InputError(f"vlm {name_or_path}: takes no adapter; allowed: none")
    if is_remote(factory):
        return _on(opener, options)
    if not takes(factory, "device"):
        if device != "auto":
            raise InputError(f"vlm {name_or_path}: takes no device, not {device!r}; allowed: auto")
        if not cluster:
            return _on(opener, options)
        open_on: Callable[[str], VLM] = partial(_anywhere, opener, options)
    else:
        open_on = partial(_on, opener, options)
    if len(places) == 1 and not cluster:
        return _on(opener, options, places[0])
    from eyechart.vlms.replicated import ReplicatedVLM

    return ReplicatedVLM(open_on, places, open_workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opener:
    """What opens a VLM: a plug-in of `eyechart.vlms` or a family. It can be pickled."""

    group: Literal["eyechart.vlms", "eyechart.families"]
    name: str

    def factory(self) -> Any:
        """The class or function. Raises PluginError."""
        if self.group == "eyechart.families":
            return family(self.name).open
        return plugins.load_factory(self.group, self.name)


def _on(opener: _Opener, options: dict[str, Json], device: str | None = None) -> VLM:
    """The VLM, on a device if one is given. On a cluster each node has its own copy of a URL."""
    factory = opener.factory()
    where: dict[str, Json] = {} if device is None else {"device": device}
    model = options.get("model")
    plugins.check_options(opener.name, factory, {**options, **where})  # before a download
    if isinstance(model, str) and URL.match(model) and not is_remote(factory):
        where["model"] = str(downloaded(model))
    vlm: VLM = plugins.construct(opener.name, factory, {**options, **where})
    return vlm


def _anywhere(opener: _Opener, options: dict[str, Json], device: str) -> VLM:
    """The VLM of a plug-in that takes no device."""
    return _on(opener, options)


def _resolve(name_or_path: str) -> tuple[_Opener, str | None]:
    """What opens a VLM, and the value of its option `model` (None: its default)."""
    for name, known in known_vlms():
        if name_or_path.lower() in known.names:
            if known.plugin:
                return _Opener(group="eyechart.vlms", name=known.plugin), known.model
            return _Opener(group="eyechart.families", name=name), known.model
    by_name = family_named(name_or_path)
    if name_or_path in plugins.names("eyechart.vlms"):
        if by_name is not None:
            raise BrokenPluginError(
                f"{name_or_path}: registered as a VLM and as a name of the family {by_name}; "
                "uninstall all but one"
            )
        return _Opener(group="eyechart.vlms", name=name_or_path), None
    if by_name is not None:
        return _Opener(group="eyechart.families", name=by_name), None
    is_url = URL.match(name_or_path) is not None
    if is_url or is_dir(name_or_path):
        folder = downloaded(name_or_path) if is_url else Path(name_or_path)
        return _opener_for(model_type_of(folder), name_or_path), name_or_path
    if name_or_path.startswith((".", "/", "~")):
        raise InputError(f"VLM directory {name_or_path!r} does not exist")
    if name_or_path.count("/") == 1:
        return _opener_for(hub_model_type(name_or_path), name_or_path), name_or_path
    raise PluginError(f"unknown vlm {name_or_path!r}; {plugins.near(name_or_path, vlm_names())}")


def _opener_for(model_type: str, where: str) -> _Opener:
    name = family_of_type(model_type)
    if name is None:
        raise InputError(
            f"{where}: config.json is of family {model_type!r}; "
            f"supported: {', '.join(model_types())}"
        )
    return _Opener(group="eyechart.families", name=name)
