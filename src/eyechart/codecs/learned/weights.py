"""Weights of learned codecs as safetensors files, in a folder of `eyechart.codecs.checkpoints`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyechart.codecs.checkpoints import LevelFile, add_level, digest, verify
from eyechart.core.errors import CodecError, InputError, PluginError

SHARED = "shared.safetensors"
_SHARED_KEY = "shared_sha256"  # in the metadata of a level's file


def write_level(
    folder: Path,
    codec: str,
    *,
    name: str,
    lmbda: float,
    weights: Mapping[str, Tensor],
    knob: str = "lambda",
    rate: Literal["rises", "falls"] = "rises",
    shared: tuple[str, ...] = (),
) -> LevelFile:
    """Add one level to a weights folder, or replace it. Other levels stay as they are.

    lmbda: what the level was trained with. knob: what that number is. rate: whether the rate rises
    or falls with it. shared: beginnings of the keys that are equal in all levels. They go into a
    file of their own, whose digest is in that of the level.
    Raises:
        InputError: the shared tensors of the folder's other levels differ from these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    common = {key: value for key, value in weights.items() if key.startswith(shared)}
    about = {}
    if common:
        about[_SHARED_KEY] = _write(folder / SHARED, common, {}, same=True)
    own = {key: value for key, value in weights.items() if key not in common}
    path = folder / f"{name}.safetensors"
    sha256 = _write(path, own, about)
    level = LevelFile(name=name, knobs={knob: lmbda}, file=path.name, sha256=sha256)
    add_level(folder, codec, level, knob=knob, rate=rate)
    return level


def _write(
    path: Path, weights: Mapping[str, Tensor], about: dict[str, str], *, same: bool = False
) -> str:
    """Write a file, at once or not at all; -> its sha256. same: refuse to change one."""
    part = path.with_suffix(".part")
    # An empty dictionary would be written as well, and change the digest of the file.
    save_file({key: value.contiguous() for key, value in weights.items()}, part, about or None)
    sha256 = digest(part)
    if same and path.exists() and digest(path) != sha256:
        part.unlink()
        raise InputError(f"{path}: other weights than those of this level; they must be equal")
    part.replace(path)
    return sha256


def load_weights(network: nn.Module, path: Path, *, codec: str, sha256: str = "") -> None:
    """Fill a network from a file of any precision.

    sha256: what the file must have; any if empty.
    Raises:
        CodecError: unreadable, changed since it was added, another network's, or not finite.
    """
    fill(network, read_weights(path, codec=codec, sha256=sha256), path, codec=codec)


def read_weights(path: Path, *, codec: str, sha256: str = "") -> dict[str, Tensor]:
    """The tensors of a file, with those that it shares with other levels.

    Raises:
        CodecError: unreadable, or changed since it was added.
    """
    try:
        if sha256:
            verify(path, sha256, codec=codec)
        wanted = _shared_sha256(path)
        if not wanted:
            return load_file(path)
        common = path.with_name(SHARED)
        verify(common, wanted, codec=codec)
        return load_file(common) | load_file(path)
    except (OSError, SafetensorError) as error:
        raise CodecError(f"{path}: not readable ({error})", codec=codec) from error


def check_shared(path: Path, *, codec: str, remedy: str) -> None:
    """Check that the weights that a level shares with others are there. Reads no weights.

    path: the level's file. remedy: how to get it, for the message.
    Raises:
        PluginError: they are missing, or the level's file is damaged.
    """
    try:
        missing = _shared_sha256(path) and not path.with_name(SHARED).is_file()
    except (OSError, SafetensorError) as error:
        raise PluginError(f"{codec}: {path} is not readable ({error}); {remedy}") from error
    if missing:
        raise PluginError(
            f"{codec}: {path.with_name(SHARED)}, which {path.name} needs, is missing; {remedy}"
        )


def _shared_sha256(path: Path) -> str:
    """sha256 of the file with the weights that a level shares with others; "" if it shares none."""
    with safe_open(path, "pt") as file:
        about: dict[str, str] = file.metadata() or {}
    return about.get(_SHARED_KEY, "")


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, *, codec: str) -> None:
    """Give a network the tensors of a file.

    Raises:
        CodecError: another network's, or not finite.
    """
    problem = misfit(network, tensors)
    if problem:
        raise CodecError(f"{path}: {problem}", codec=codec)
    network.load_state_dict({key: value.float() for key, value in tensors.items()})


def misfit(network: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Why these weights do not fit the network, with the first keys; "" if they fit."""
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
