"""Which adapter a VLM wears, as far as a run must know it before any weights are loaded. No torch.

    universal | DIR | DIR:tell=unknown -> its folder, how it is told -> its identity

Cells, tables and VLMs take an adapter's identity from here, so that they agree. It is that of two
files: what training leaves beside them (its state, its log, the model card) changes no answer.
"""

from __future__ import annotations

import json
from hashlib import file_digest
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.identity import digest
from eyechart.core.types import Component
from eyechart.zoo import adapter_dir

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

Telling: TypeAlias = Literal["labelled", "unknown", "blind"]  # see eyechart.adapters.condition
TELLINGS: tuple[Telling, ...] = get_args(Telling)


def check_telling(telling: str) -> Telling:
    """One of the three ways to tell an adapter its condition. Raises InputError."""
    for known in TELLINGS:
        if telling == known:
            return known
    raise InputError(f"tell={telling!r} is not one of {', '.join(TELLINGS)}")


def parse_adapter(spec: str) -> tuple[Path, Telling | None]:
    """Folder of an adapter, and how to tell it; None: in its own way.

    spec: a directory, or the name of an adapter that ships here; `:tell=unknown` behind it tells it
        otherwise.
    Raises:
        InputError: an unknown option or way of telling.
    """
    name, options = (spec, {}) if Path(spec).is_dir() else plugins.parse_spec(spec)
    if unknown := sorted(options.keys() - {"tell"}):
        raise InputError(f"adapter {name}: unknown option {unknown[0]!r}; allowed: tell")
    tell = options.get("tell")
    return adapter_dir(name), None if tell is None else check_telling(str(tell))


def adapter_component(spec: str) -> Component:
    """An adapter as tables name it. Its version is a digest of configuration and weights.

    Told otherwise than in its own way it is another adapter, and is called `NAME:tell=...`.

    Raises:
        InputError: not an adapter, or what `parse_adapter` refuses.
    """
    folder, tell = parse_adapter(spec)
    name = folder.resolve().name
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        if not isinstance(config, dict):
            raise ValueError("not an object")
        if tell not in (None, config.get("tell")):
            config["tell"] = tell
            name = f"{name}:tell={tell}"
        with (folder / WEIGHTS).open("rb") as weights:
            weights_sha256 = file_digest(weights, "sha256").hexdigest()
        version = digest([config, weights_sha256])[:16]
    except OSError as error:
        raise InputError(f"adapter {spec!r}: {error.filename} ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"adapter {spec!r}: {CONFIG} is damaged ({error})") from error
    options = {key: config[key] for key in ("trained_codecs", "tell") if key in config}
    return Component(name=name, version=version, options=options)
