"""Training pairs: an uncompressed image and its compressed forms.

    folder of images --encode--> bitstream --decode--> compressed image

Bitstreams and decoded images are kept on disk, because a video codec starts a process for each
image. No questions are needed (paper Section 4.1), so any folder of images can be used, such as an
unpacked COCO train2017. Codecs with weights compress all images before the training, one level
after another, because a level is slow to load. Images that were compressed elsewhere are read from
folders instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Protocol

from eyechart.adapters.condition import SOURCE, Condition, entries_of
from eyechart.codecs.reconstruct import (
    BATCH_IMAGES,
    DecodedImage,
    Reconstructor,
    SourceImage,
)
from eyechart.core.attempt import Failed
from eyechart.core.errors import ImageError, InputError
from eyechart.core.images import find_images, read_image
from eyechart.core.types import UNCOMPRESSED, Codec, Component, Rgb8, component_of, is_neural
from eyechart.core.units import counted
from eyechart.store import StoredImages

_END_BYTES = 16 << 10  # of an image file, at each end


class Pairs(Protocol):
    """Uncompressed images and their compressed forms."""

    @property
    def names(self) -> Sequence[str]:
        """One name for each image, in a fixed order."""
        ...

    @property
    def entries(self) -> tuple[Condition, ...]:
        """Conditions of which there are images; `source` first."""
        ...

    @property
    def codecs(self) -> tuple[Component, ...]:
        """The codecs that compress the images; () if they were compressed elsewhere."""
        ...

    def digest(self) -> str:
        """Digest of all files, from their sizes and both ends, so that other images differ.

        Raises ImageError.
        """
        ...

    def prepare(self, wanted: Iterable[tuple[int, Condition]]) -> None:
        """Make these images ahead, if they are faster to make together than one by one.

        Raises ImageError, CodecError, StoreError.
        """
        ...

    def images(self, image: int, entries: Sequence[Condition]) -> list[Rgb8]:
        """The image under each condition, all of one size. Thread-safe.

        Raises ImageError, CodecError.
        """
        ...

    def stored(self, image: int) -> list[Rgb8]:
        """The image's forms that the user has as files, the uncompressed one first. Thread-safe.

        Raises ImageError: a file cannot be read, or a compressed form has another size.
        """
        ...


class CodecPairs:
    """Pairs made by codecs from a folder of images, each once, ahead or when they are needed.

    cache: folder for bitstreams, and for the decoded images of slow codecs. decoded_budget_bytes:
    limit of the stored decoded images; others are decoded again each time. device, batch_images:
    for codecs with weights.
    """

    def __init__(
        self,
        folder: Path,
        codecs: Sequence[Codec],
        cache: Path,
        *,
        decoded_budget_bytes: int = 8 << 30,
        device: str = "cpu",
        batch_images: int = BATCH_IMAGES,
    ) -> None:
        self._paths, _ = find_images(folder)
        self.names = tuple(str(path.relative_to(folder)) for path in self._paths)
        self.entries = entries_of(codecs)
        self._made = {
            (codec.name, level.name): (codec, level) for codec in codecs for level in codec.levels
        }
        self.codecs = tuple(map(component_of, codecs))
        self._stored, self._batch_images = StoredImages(cache), batch_images
        self._reconstructor = Reconstructor(self._stored, device=device, batch_images=batch_images)
        self._left_bytes = decoded_budget_bytes - self._stored.decoded.size_bytes()
        self._neural = Lock()  # one level is in memory, so threads take turns

    def digest(self) -> str:
        """See `Pairs`."""
        return _digest(self._paths)

    def prepare(self, wanted: Iterable[tuple[int, Condition]]) -> None:
        """See `Pairs`: images of codecs with weights. Each level is loaded once."""
        neural = {entry for entry, (codec, _) in self._made.items() if is_neural(codec)}
        if not neural:
            return
        images: dict[Condition, set[int]] = {entry: set() for entry in self._made}
        for image, entry in wanted:
            if entry in neural:
                images[entry].add(image)
        try:
            for entry, chosen in images.items():
                sources = (self._source(image) for image in sorted(chosen))
                missing = (source for source in sources if self._is_missing(entry, source))
                while batch := list(islice(missing, self._batch_images)):
                    self._decoded_images(entry, batch)
        finally:
            self._reconstructor.close()  # the training needs the memory

    def images(self, image: int, entries: Sequence[Condition]) -> list[Rgb8]:
        """See `Pairs`."""
        source = self._source(image)
        return [
            source.rgb8 if entry == SOURCE else self._decoded_images(entry, [source])[0].rgb8
            for entry in entries
        ]

    def stored(self, image: int) -> list[Rgb8]:
        """See `Pairs`."""
        return [read_image(self._paths[image])]

    def _source(self, image: int) -> SourceImage:
        return SourceImage.of(read_image(self._paths[image]), self.names[image])

    def _is_missing(self, entry: Condition, source: SourceImage) -> bool:
        """Whether the bitstream is not stored, or the decoded image, if there is space for it."""
        codec, level = self._made[entry]
        found = self._stored.get(component_of(codec), level, source.digest)
        return found.payload is None or (found.png is None and self._has_space([source]))

    def _has_space(self, sources: Sequence[SourceImage]) -> bool:
        return self._left_bytes > sum(source.rgb8.nbytes for source in sources)

    def _decoded_images(
        self, entry: Condition, sources: Sequence[SourceImage]
    ) -> list[DecodedImage]:
        codec, level = self._made[entry]
        keep = self._has_space(sources)
        with self._neural if is_neural(codec) else nullcontext():
            made = self._reconstructor.reconstruct(codec, level, sources, keep=keep)
        decoded = [one.raise_error() if isinstance(one, Failed) else one for one in made]
        self._left_bytes -= sum(len(one.png) for one in decoded)
        return decoded


class FolderPairs:
    """Pairs that are on disk: DIR/source/NAME, DIR/<codec>/<level>/NAME (any image suffix)."""

    codecs: tuple[Component, ...] = ()

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: {'not a folder' if folder.exists() else 'does not exist'}")
        if not (folder / UNCOMPRESSED).is_dir():
            raise InputError(
                f"{folder}: no folder 'source' in it; lay pairs out as source/NAME and "
                "CODEC/LEVEL/NAME, or name codecs"
            )
        clean = _by_name(folder / UNCOMPRESSED)
        self.names = tuple(clean)
        self._paths = {SOURCE: list(clean.values())}
        for place in sorted(path for path in folder.glob("*/*") if path.is_dir()):
            if place.parent.name == UNCOMPRESSED:
                continue
            named = _by_name(place)
            missing = [name for name in self.names if name not in named]
            if missing:
                raise InputError(
                    f"{place}: {counted(len(missing), 'image')} missing, first {missing[0]}"
                )
            entry = (place.parent.name, place.name)
            self._paths[entry] = [named[name] for name in self.names]
        self.entries = tuple(self._paths)
        if len(self.entries) == 1:
            raise InputError(f"{folder}: no <codec>/<level> folders next to source")

    def digest(self) -> str:
        """See `Pairs`."""
        return _digest(path for paths in self._paths.values() for path in paths)

    def prepare(self, wanted: Iterable[tuple[int, Condition]]) -> None:
        """See `Pairs`: all of them are files."""

    def images(self, image: int, entries: Sequence[Condition]) -> list[Rgb8]:
        """See `Pairs`."""
        return [read_image(self._paths[entry][image]) for entry in entries]

    def stored(self, image: int) -> list[Rgb8]:
        """See `Pairs`."""
        found = self.images(image, self.entries)
        height_px, width_px, _ = found[0].shape
        for entry, rgb8 in zip(self.entries, found, strict=True):
            if rgb8.shape != found[0].shape:
                turned = rgb8.shape[:2] == (width_px, height_px)
                why = " (turned by 90 degrees; see the EXIF orientation of both)" if turned else ""
                raise ImageError(
                    f"{self._paths[entry][image]}: {rgb8.shape[1]}x{rgb8.shape[0]} pixels, its "
                    f"source has {width_px}x{height_px}{why}"
                )
        return found


def _by_name(folder: Path) -> dict[str, Path]:
    """The images below a folder by their path in it without the suffix.

    Raises:
        InputError: no such folder, no image, or two images of one name.
    """
    named: dict[str, Path] = {}
    for path in find_images(folder)[0]:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise InputError(f"{folder}: {path.name} and {named[name].name} have the same name")
        named[name] = path
    return named


def _digest(paths: Iterable[Path]) -> str:
    """Reads only the ends of files, because there may be a hundred thousand images. Different
    compressed files differ in their size or their last bytes."""
    whole = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(0)
                ends = file.read(_END_BYTES)
                file.seek(max(file.tell(), size_bytes - _END_BYTES))
                ends += file.read()
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
        whole.update(f"{size_bytes}:".encode() + hashlib.sha256(ends).digest())
    return whole.hexdigest()
