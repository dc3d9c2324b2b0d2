"""The identity of an adapter, as a run needs it before any weights are loaded. Loads no torch.

    universal | DIR | DIR:conditioning=unknown -> folder and conditioning -> identity

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
_SPELLINGS = {"labelled": "labelled", "unknown": "unknown", "blind": "estimated"}  # stored: typed
_OPTIONS = ("conditioning", "tell")  # two spellings of one option


def check_telling(telling: str) -> Telling:
    """How an adapter gets its condition; `estimated` and `blind` are two spellings of one value.

    Raises InputError.
    """
    for known in TELLINGS:
        if telling in (known, _SPELLINGS[known]):
            return known
    raise InputError(
        f"conditioning={telling!r} is not one of {', '.join(_SPELLINGS.values())} "
        "(blind is accepted for estimated)"
    )


def parse_adapter(spec: str) -> tuple[Path, Telling | None]:
    """Folder of an adapter, and its conditioning; None: as its configuration says.

    spec: a directory, or the name of an adapter that ships here, with another conditioning after
        it: `:conditioning=unknown`. `tell=` is accepted for `conditioning=`.
    Raises:
        InputError: an unknown option or conditioning, or both spellings of the option.
    """
    name, options = (spec, {}) if Path(spec).is_dir() else plugins.parse_spec(spec)
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise InputError(f"adapter {name}: unknown option {unknown[0]!r}; allowed: conditioning")
    if len(options) > 1:
        raise InputError(f"adapter {name}: tell is a spelling of conditioning; give one of them")
    given = [check_telling(str(value)) for value in options.values()]
    return adapter_dir(name), given[0] if given else None


def adapter_component(spec: str) -> Component:
    """An adapter as tables name it. Its version is a digest of configuration and weights.

    With another conditioning than its own it is another adapter, named `NAME:conditioning=...`.

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
            name = f"{name}:conditioning={_SPELLINGS[tell]}"
        with (folder / WEIGHTS).open("rb") as weights:
            weights_sha256 = file_digest(weights, "sha256").hexdigest()
        version = digest([config, weights_sha256])[:16]
    except OSError as error:
        raise InputError(f"adapter {spec!r}: {error.filename} ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"adapter {spec!r}: {CONFIG} is damaged ({error})") from error
    options = {key: config[key] for key in ("trained_codecs", "tell") if key in config}
    return Component(name=name, version=version, options=options)
