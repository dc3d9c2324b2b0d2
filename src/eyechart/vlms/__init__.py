"""Vision-language models: one file a family, and the engine that answers many questions an image.

    Request (image + prompts) -> picture -> vision tower -> shared prefix -> all answers together

Importing this package loads no torch; opening a VLM does not either, its first answer does.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.hooks import is_remote
from eyechart.core.types import VLM, Json
from eyechart.vlms.devices import devices_of
from eyechart.vlms.hub import hub_model_type
from eyechart.vlms.known import FAMILIES, KNOWN, Known, model_type_of

__all__ = ["KNOWN", "Known", "open_vlm", "vlm_names"]


def vlm_names() -> list[str]:
    """Names `open_vlm` knows by heart: the paper's VLMs, built-ins and third-party plug-ins."""
    registered = set(plugins.names("eyechart.vlms")) - set(FAMILIES.values())
    return sorted(registered | {known.name for known in KNOWN})


def open_vlm(
    name_or_path: str, /, *, adapter: str | None = None, device: str = "auto", **options: Json
) -> VLM:
    """A VLM by name, hub id or local directory; nothing heavy happens before its first answer.

    name_or_path: `eyechart-mini`, a name of the paper (`qwen2.5-vl-3b`), a plug-in's name, a hub id
    (`Qwen/Qwen2.5-VL-3B-Instruct`) or a directory written by `save_pretrained`.
    adapter: a trained adapter by directory or name, attached before the first answer;
        with `:conditioning=unknown` after it, that conditioning replaces its own.
    device: `auto`, `cpu`, `cuda`, `cuda:1`; `cuda:0,cuda:1` or `all` for a copy on each of these
        GPUs, in a process of its own; `map` to spread one model over all GPUs.
    options: the family's own, for example `max_pixels` or `dtype`.

    Raises:
        PluginError: unknown name (with the near ones), missing package, unknown option.
        InputError: a directory without config or weights, or of a family that is not supported;
            a device that cannot be; a device or an adapter for a plug-in that takes none.
    """
    plugin, model = _resolve(name_or_path)
    if adapter is not None:
        options["adapter"] = adapter
    if model is not None:
        options["model"] = model
    _check_server(plugin, options)
    places = devices_of(device)
    if adapter is not None and not plugins.takes("eyechart.vlms", plugin, "adapter"):
        raise InputError(f"vlm {name_or_path}: takes no adapter; allowed: none")
    if is_remote(plugins.load_factory("eyechart.vlms", plugin)):
        return _on(plugin, options)
    if not plugins.takes("eyechart.vlms", plugin, "device"):
        if device != "auto":
            raise InputError(f"vlm {name_or_path}: takes no device, not {device!r}; allowed: auto")
        return _on(plugin, options)
    if len(places) == 1:
        return _on(plugin, options, places[0])
    from eyechart.vlms.replicated import ReplicatedVLM

    return ReplicatedVLM(partial(_on, plugin, options), places)


def _on(plugin: str, options: dict[str, Json], device: str | None = None) -> VLM:
    """A plug-in, on a device if it shall be."""
    where: dict[str, Json] = {} if device is None else {"device": device}
    vlm: VLM = plugins.load("eyechart.vlms", plugin, {**options, **where})
    return vlm


def _resolve(name_or_path: str) -> tuple[str, str | None]:
    """-> name of the plug-in, and the model it shall open (None: its own default)."""
    for known in KNOWN:
        if name_or_path.lower() in _names_of(known):
            return known.plugin, known.model
    if name_or_path in plugins.names("eyechart.vlms"):
        return name_or_path, None
    if Path(name_or_path).is_dir():
        return _plugin_for(model_type_of(Path(name_or_path)), name_or_path), name_or_path
    if name_or_path.startswith((".", "/", "~")):
        raise InputError(f"VLM directory {name_or_path!r} does not exist")
    if name_or_path.count("/") == 1:
        return _plugin_for(hub_model_type(name_or_path), name_or_path), name_or_path
    raise PluginError(f"unknown vlm {name_or_path!r}; {plugins.near(name_or_path, vlm_names())}")


def _names_of(known: Known) -> set[str]:
    return {known.name, known.hub_id.lower(), known.served_model.lower()} - {""}


def _check_server(plugin: str, options: dict[str, Json]) -> None:
    """Without an address, pictures would go to OpenAI, which does not have the model either."""
    for known in KNOWN:
        asked = plugin == known.plugin and options.get("model") == known.served_model
        if known.own_server and asked and not options.get("base_url"):
            raise InputError(
                f"{known.name} runs behind a server of your own (docs/serving.md): give "
                f"{known.name}:base_url=http://HOST:PORT/v1"
            )


def _plugin_for(model_type: str, where: str) -> str:
    if model_type not in FAMILIES:
        raise InputError(
            f"{where}: config.json is of family {model_type!r}; "
            f"supported: {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[model_type]
