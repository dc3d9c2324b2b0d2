"""The identity of an adapter, which a run needs before weights are loaded. Loads no torch.

    universal | DIR | DIR:conditioning=unknown -> folder and conditioning -> identity

Cells, tables and VLMs take an adapter's identity from here, so that they agree. It covers the two
files that change answers, not the training state, the log and the model card beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from eyechart.core import plugins
from eyechart.core.errors import InputError, one_line
from eyechart.core.files import URL
from eyechart.core.foreign import read_json
from eyechart.core.identity import digest
from eyechart.core.types import Component, Json
from eyechart.store.url_folders import downloaded
from eyechart.zoo import adapter_dir

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

Conditioning: TypeAlias = Literal["labelled", "unknown", "estimated"]
CONDITIONINGS: tuple[Conditioning, ...] = get_args(Conditioning)

# The names of the first release, and the only place that holds them (besides the spellings of
# command line options). They stay in stored configurations, in an adapter's options in cells, and
# in the state of trainings. Identities are computed with them. So the keys of stored cells stay
# valid, and stopped trainings continue.
FIRST_NAMES = {"conditioning": "tell", "estimated": "blind", "condition_aliases": "pretend"}
FIRST_CONDITIONING = FIRST_NAMES["conditioning"]  # key of the conditioning in identities


def check_conditioning(name: str) -> Conditioning:
    """How an adapter gets its condition: labelled, unknown or estimated (also spelled blind).

    Raises InputError.
    """
    for known in CONDITIONINGS:
        if name in (known, FIRST_NAMES.get(known)):
            return known
    raise InputError(
        f"conditioning={name!r} is not one of {', '.join(CONDITIONINGS)} "
        f"({FIRST_NAMES['estimated']} is accepted for estimated)"
    )


def with_first_names(value: Json) -> Json:
    """A configuration with the keys and values of the first release, at every depth."""
    if isinstance(value, Mapping):
        return {FIRST_NAMES.get(key, key): with_first_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_first_names(item) for item in value]
    return FIRST_NAMES.get(value, value) if isinstance(value, str) else value


def parse_adapter(spec: str) -> tuple[Path, Conditioning | None]:
    """Folder of an adapter, and its conditioning; None: the one in its configuration.

    This is the only place that reads an adapter's spec.

    spec: a directory, its URL (s3://bucket/adapter, of which the folder is a local copy) or the
        name of an adapter of the package, with an optional conditioning:
        `NAME:conditioning=unknown`. `tell=` is accepted for `conditioning=`.
    Raises:
        InputError: an unknown option or conditioning, or both spellings of the option; nothing is
            at the URL, or its object store cannot be used.
    """
    name, options = plugins.parse_spec_or_directory(spec)
    if URL.match(name):
        name = str(downloaded(name))
    if unknown := sorted(options.keys() - {"conditioning", FIRST_CONDITIONING}):
        raise InputError(f"adapter {name}: unknown option {unknown[0]!r}; allowed: conditioning")
    if len(options) > 1:
        raise InputError(
            f"adapter {name}: {FIRST_CONDITIONING} is a spelling of conditioning; give one of them"
        )
    given = [check_conditioning(str(value)) for value in options.values()]
    return adapter_dir(name), given[0] if given else None


def require_version(adapter: Json, expected: Json) -> None:
    """Check that a VLM that was opened again has the adapter that answers are stored under.

    adapter, expected: the VLM's option `adapter`. Raises InputError.
    """
    if adapter != expected:
        raise InputError(
            f"adapter version {adapter}: it has changed; answers are stored under {expected}, "
            "run the command again"
        )


def adapter_component(spec: str) -> Component:
    """An adapter's name for tables, and its version, a digest of configuration and weights.

    With another conditioning than its own it is another adapter, `NAME:conditioning=...`.

    Raises:
        InputError: not an adapter, or what `parse_adapter` refuses.
    """
    folder, conditioning = parse_adapter(spec)
    name = folder.resolve().name
    try:
        config = with_first_names(read_json(folder / CONFIG))
        if not isinstance(config, dict):
            raise ValueError("not an object")
        if conditioning is not None:
            stored = with_first_names(conditioning)
            if config.get(FIRST_CONDITIONING) != stored:
                name = f"{name}:conditioning={conditioning}"
            config[FIRST_CONDITIONING] = stored
        with (folder / WEIGHTS).open("rb") as weights:
            weights_sha256 = file_digest(weights, "sha256").hexdigest()
        version = digest([config, weights_sha256])[:16]
    except OSError as error:
        raise InputError(f"adapter {spec!r}: {error.filename} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"adapter {spec!r}: {CONFIG} is damaged ({one_line(error)})") from error
    options = {key: config[key] for key in ("trained_codecs", FIRST_CONDITIONING) if key in config}
    return Component(name=name, version=version, options=options)
