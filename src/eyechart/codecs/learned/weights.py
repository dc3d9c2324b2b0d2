"""Folders of trained weights: one safetensors file a level, and `levels.json` that lists them.

    {"codec": "elic", "levels": [{"name": "0.004", "lambda": 0.004, "file": "0.004.safetensors",
                                  "sha256": "..."}]}

Levels stand in order of rate, lowest first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyechart.core.errors import CodecError, InputError
from eyechart.core.types import Json, Level

LISTING = "levels.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFile:
    """One level of a weights folder. sha256: of the file, in hex."""

    name: str
    lmbda: float
    file: str
    sha256: str

    @property
    def json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "lambda": self.lmbda,
            "file": self.file,
            "sha256": self.sha256,
        }


def user_folder(codec: str) -> Path:
    """Where checkpoints that the user brought in are kept (XDG_DATA_HOME is respected)."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "eyechart" / "codecs" / codec


def read_listing(folder: Path, codec: str) -> tuple[LevelFile, ...]:
    """What a weights folder holds; nothing where there is no folder.

    Raises:
        InputError: the listing is damaged or another codec's.
    """
    path = folder / LISTING
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    try:
        listing = json.loads(text)
        found = tuple(
            LevelFile(
                name=str(entry["name"]),
                lmbda=float(entry["lambda"]),
                file=str(entry["file"]),
                sha256=str(entry["sha256"]),
            )
            for entry in listing["levels"]
        )
        owner = listing["codec"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of levels ({error})") from error
    if owner != codec:
        raise InputError(f"{path}: weights of {owner}, not of {codec}")
    return found


def write_level(
    folder: Path, codec: str, *, name: str, lmbda: float, weights: Mapping[str, Tensor]
) -> LevelFile:
    """Add one level to a weights folder, or replace it. Other levels stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    part = path.with_suffix(".part")
    save_file({key: value.contiguous() for key, value in weights.items()}, part)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    part.replace(path)
    level = LevelFile(name=name, lmbda=lmbda, file=path.name, sha256=digest)
    others = [other for other in read_listing(folder, codec) if other.name != name]
    levels = sorted([*others, level], key=lambda entry: entry.lmbda)
    listing = {"codec": codec, "levels": [entry.json for entry in levels]}
    part = folder / (LISTING + ".part")
    part.write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / LISTING)
    return level


def levels_of(files: Sequence[LevelFile]) -> tuple[Level, ...]:
    """The levels of a codec, from its files in order of rate."""
    return tuple(
        Level(name=file.name, rank=rank, knobs={"lambda": file.lmbda}, weights=file.sha256)
        for rank, file in enumerate(files)
    )


def load_weights(network: nn.Module, path: Path, *, sha256: str, codec: str) -> None:
    """Fill a network from a file, whatever precision it is stored in.

    Raises:
        CodecError: unreadable, changed since it was added, another network's, or not finite.
    """
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CodecError(f"{path} has changed since it was added (sha256)", codec=codec)
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CodecError(f"{path}: not readable ({error})", codec=codec) from error
    problem = misfit(network, tensors)
    if problem:
        raise CodecError(f"{path}: {problem}", codec=codec)
    network.load_state_dict({key: value.float() for key, value in tensors.items()})


def misfit(network: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Why these weights are not this network's, naming the first keys; "" if they are."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    missing = [key for key in wanted if key not in tensors]
    unknown = [key for key in tensors if key not in wanted]
    if missing or unknown:
        lacks = f"lacks {', '.join(missing[:3])}" if missing else ""
        has = f"has unknown {', '.join(unknown[:3])}" if unknown else ""
        return f"not the weights of this network: {' and '.join(filter(None, (lacks, has)))}"
    for key, shape in wanted.items():
        if tuple(tensors[key].shape) != shape:
            found = tuple(tensors[key].shape)
            return f"not the weights of this network: {key} is {found}, expected {shape}"
    for key, value in tensors.items():
        if not bool(torch.isfinite(value.float()).all()):
            return f"{key} holds values that are not finite"
    return ""
