"""Checkpoints of codecs with weights: digests, folders, and where a missing one is published.

A weights folder holds one file for each level and `levels.json`, which lists them by rising rate:

    {"codec": "elic", "levels": [{"name": "0.008", "knobs": {"lambda": 0.008},
                                  "file": "0.008.safetensors", "sha256": "..."}]}

The sha256 is computed once, when a level is added. Listing levels and planning a run read this file
and no weights. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Literal

from eyechart.core.errors import CodecError, InputError, PluginError, StoreError
from eyechart.core.files import URL, is_file
from eyechart.core.foreign import foreign_file, read_json
from eyechart.core.types import Json, Level
from eyechart.store.files import file_sha256, write_atomic
from eyechart.store.lease import lease
from eyechart.store.url_folders import downloaded

LISTING = "levels.json"
_SETTLED_S = 2.0  # FAT, the file system with the coarsest clock, has steps of 2 s


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFile:
    """One level of a weights folder.

    knobs: as in `Level`. file: its name inside the folder. sha256: of the file, in hex.
    """

    name: str
    knobs: Mapping[str, Json]
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoints:
    """Where checkpoints of these levels are published, and under which licence."""

    levels: tuple[str, ...]
    url: str
    licence: str


# --- digests ----------------------------------------------------------------------------------


def digest(path: Path, *, cache: Path | None = None) -> str:
    """sha256 (hex) of a file, cached as long as its path, size and mtime stay the same.

    cache: folder of cached digests; the user's cache folder if None. If it is damaged or cannot be
        written, the digest is computed again.
    Raises:
        InputError: the file cannot be read, or is being written to.
    """
    path = path.resolve()
    state = _state(path)
    remembered = _remembered_file(path, cache)
    found = _recall(remembered, state)
    if found is not None:
        return found
    try:
        sha256 = file_sha256(path).hex()
    except StoreError as error:
        raise InputError(str(error)) from error
    if _state(path) != state:
        raise InputError(f"{path}: changed while it was read; wait until it is written")
    # A file changed again within a step of the clock would keep its mtime.
    if time.time() - state["mtime_ns"] / 1e9 > _SETTLED_S:
        entry = json.dumps({"path": str(path), **state, "sha256": sha256})
        with suppress(OSError, StoreError):
            remembered.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(remembered, entry.encode(), sync=False)
    return sha256


def verify(path: Path, sha256: str, *, codec: str) -> None:
    """Check that a checkpoint is the file that was added. Raises CodecError."""
    try:
        found = digest(path)
    except InputError as error:
        raise CodecError(str(error), codec=codec) from error
    if found != sha256:
        raise CodecError(
            f"{path}: has changed since it was added (sha256 {found[:8]}, was {sha256[:8]})",
            codec=codec,
        )


def _state(path: Path) -> dict[str, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _remembered_file(path: Path, cache: Path | None) -> Path:
    if cache is None:
        import platformdirs

        cache = platformdirs.user_cache_path("eyechart", appauthor=False) / "digests"
    return cache / f"{hashlib.sha256(str(path).encode('utf-8', 'replace')).hexdigest()[:32]}.json"


def _recall(remembered: Path, state: Mapping[str, int]) -> str | None:
    """The cached digest of a file in this state; None without a usable one."""
    try:
        entry = json.loads(remembered.read_bytes())
        same = {key: entry[key] for key in state} == dict(state)
        sha256 = bytes.fromhex(entry["sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return sha256.hex() if same and len(sha256) == hashlib.sha256().digest_size else None


# --- weights folders --------------------------------------------------------------------------


def data_folder(codec: str) -> Path:
    """Folder of the weights that the user added to a codec (below $XDG_DATA_HOME on Linux)."""
    import platformdirs

    return platformdirs.user_data_path("eyechart", appauthor=False) / "codecs" / codec


def weights_folder(weights: str) -> Path:
    """The folder of a codec's option `weights`: a path, or the local copy of a URL.

    Raises:
        InputError: the object store cannot be used, or nothing is there.
        NotDownloadedError: in a command that only describes, if much is to be downloaded.
    """
    return downloaded(weights) if URL.match(weights) else Path(weights)


def read_listing(folder: Path, codec: str) -> tuple[LevelFile, ...]:
    """The levels of a weights folder; () if the folder does not exist.

    Raises:
        InputError: the listing is damaged or belongs to another codec; the folder is a file.
    """
    path = folder / LISTING
    if is_file(folder):
        raise InputError(f"{folder}: a file; allowed: a folder with {LISTING}")
    if not path.exists():
        return ()
    with foreign_file(path, "a list of levels"):
        listing = read_json(path)
        files = tuple(_level_file(entry) for entry in listing["levels"])
        owner = str(listing["codec"])
    if owner != codec:
        raise InputError(f"{path}: weights of {owner}, not of {codec}")
    return files


def add_level(
    folder: Path, codec: str, level: LevelFile, *, knob: str, rate: Literal["rises", "falls"]
) -> None:
    """Add or replace a level in the listing. Its file is already in the folder.

    knob: the setting that orders the levels. rate: whether the rate rises or falls with it.
    Two processes may add levels to one folder at the same time.
    Raises:
        InputError: the listing is damaged or belongs to another codec.
        StoreError: the folder cannot be written.
    """
    with lease(folder / f".{LISTING}.lock", wait=True):
        others = [one for one in read_listing(folder, codec) if one.name != level.name]
        files = sorted(
            [*others, level],
            key=lambda one: float(str(one.knobs[knob])),
            reverse=rate == "falls",
        )
        listing = {"codec": codec, "levels": [asdict(one) for one in files]}
        write_atomic(folder / LISTING, json.dumps(listing, indent=1).encode() + b"\n")


def levels_of(files: Sequence[LevelFile]) -> tuple[Level, ...]:
    """The levels of a codec, from its files in order of rate."""
    return tuple(
        Level(name=file.name, rank=rank, knobs=file.knobs, weights=file.sha256)
        for rank, file in enumerate(files)
    )


def check_files(folder: Path, codec: str, *, remedy: str = "") -> tuple[LevelFile, ...]:
    """The levels of a weights folder, after a check that all files exist. Reads no weights.

    remedy: how to get a missing file, for the message; default: with `eyechart codec add`.
    Raises:
        PluginError: no level, or a listed file is missing.
        InputError: as `read_listing`.
    """
    files = read_listing(folder, codec)
    remedy = remedy or how_to_add(codec)
    if not files:
        raise PluginError(f"{codec}: no checkpoint in {folder}; {remedy}")
    for file in files:
        if not (folder / file.file).is_file():
            raise PluginError(
                f"{codec}: the checkpoint of level {file.name}, {folder / file.file}, is missing; "
                f"{remedy}"
            )
    return files


def how_to_add(codec: str, *, into: str = "") -> str:
    """The end of a message about a missing checkpoint. into: a weights folder of the user, or its
    URL."""
    if URL.match(into):
        return (
            f"make a folder with `eyechart codec add {codec} --level LEVEL FILE --into DIR`, and "
            f"upload all its files to {into}"
        )
    folder = f" --into {shlex.quote(into)}" if into else ""
    return f"add one with `eyechart codec add {codec} --level LEVEL FILE{folder}`"


def where_levels_are(
    published: Sequence[PublishedCheckpoints],
    unpublished: Sequence[str] = (),
    *,
    here: Sequence[float] = (),
) -> str:
    """Where the levels of a codec are published, for a message; "" if there is nothing to say.

    unpublished: levels of the paper that nobody published. here: levels that need not be named.
    """

    def wanted(levels: Sequence[str]) -> str:
        missing = [level for level in levels if float(level) not in here]
        if not missing:
            return ""
        verb = "is" if len(missing) == 1 else "are"
        return f"level{'' if len(missing) == 1 else 's'} {', '.join(missing)} {verb}"

    said = [
        f"{levels} published at {one.url} ({one.licence})"
        for one in published
        if (levels := wanted(one.levels))
    ]
    if levels := wanted(unpublished):
        said.append(f"{levels} not published (made by `eyechart codec train`)")
    return "; ".join(said)


def _level_file(entry: Mapping[str, Json]) -> LevelFile:
    file, sha256, knobs = str(entry["file"]), str(entry["sha256"]), entry["knobs"]
    if PurePath(file).name != file:
        raise ValueError(f"file {file!r} is not a plain file name")
    if len(bytes.fromhex(sha256)) != hashlib.sha256().digest_size or not isinstance(knobs, Mapping):
        raise ValueError(f"level {entry['name']!r} has no sha256 or no knobs")
    return LevelFile(name=str(entry["name"]), knobs=knobs, file=file, sha256=sha256)
