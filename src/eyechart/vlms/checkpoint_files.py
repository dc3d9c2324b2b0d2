"""Reading a checkpoint directory without loading it: model type and missing weights files."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

from eyechart.core.errors import InputError, one_line
from eyechart.core.foreign import read_json

_SUFFIX = ".safetensors"
_MOST_HEADER_BYTES = 100 << 20


def model_type_of(folder: Path) -> str:
    """`model_type` of a checkpoint directory.

    Raises:
        InputError: no config.json, or one that is not a JSON object with a model_type.
    """
    config = folder / "config.json"
    try:
        found = read_json(config)
    except OSError as error:
        raise InputError(
            f"{folder}: not a VLM directory, config.json cannot be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{config}: not JSON ({one_line(error)})") from error
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise InputError(f"{config}: has no model_type")
    return str(found["model_type"])


def check_directory(folder: Path, model_type: str) -> None:
    """Check that a directory is of a family and has weights; loads nothing.

    Raises:
        InputError: another family, or a missing file.
    """
    found = model_type_of(folder)
    if found != model_type:
        raise InputError(
            f"{folder}: config.json is of family {found!r}, this VLM needs {model_type!r}"
        )
    missing = missing_weights(folder)
    if missing:
        raise InputError(f"{folder}: no weights: {missing} is missing")


def count_parameters(folder: Path) -> int | None:
    """Number of weights in the files of a checkpoint directory, from their headers (safetensors);
    None if one of them cannot be read."""
    total = 0
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            with path.open("rb") as file:
                size_bytes = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(size_bytes, _MOST_HEADER_BYTES)))
            tensors = (one for name, one in header.items() if name != "__metadata__")
            total += sum(prod(one["shape"]) for one in tensors)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
    return total or None


def missing_weights(folder: Path) -> str | None:
    """The first weights file that is missing, or None. Only the index is read.

    Raises:
        InputError: the index cannot be read.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None if any(folder.glob("*.safetensors")) else "*.safetensors"
    try:
        shards = set(read_json(index)["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index}: not an index of weights ({one_line(error)})") from error
    for name in shards:
        if not (isinstance(name, str) and name == Path(name).name and name.endswith(_SUFFIX)):
            raise InputError(
                f"{index}: names {one_line(str(name))!r}; allowed: *{_SUFFIX} files beside it"
            )
    return next((str(name) for name in sorted(shards) if not (folder / name).is_file()), None)
