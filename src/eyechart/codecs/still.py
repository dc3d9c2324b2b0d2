"""Still-picture formats that Pillow writes and reads: their files are whole payloads already."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from eyechart.codecs.frames import check_claim, check_rgb8
from eyechart.core.errors import CodecError
from eyechart.core.images import MAX_PIXELS
from eyechart.core.types import Bitstream, Json, Level, Rgb8

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# What Pillow's readers raise on damaged files, found by flipping bits in them.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, OverflowError, MemoryError)


def version_of(library: str) -> str:
    """Pillow's version and that of the library under it (both can change bits)."""
    import PIL
    from PIL import features

    return f"{library} {features.version(library) or 'unknown'}, pillow {PIL.__version__}"


def encode_still(
    rgb8: Rgb8, codec: str, level: Level, format: str, settings: Mapping[str, Json]
) -> Bitstream:
    """A file of Pillow's `format`, saved with `settings`, as payload. Raises CodecError."""
    from PIL import Image

    rgb8 = check_rgb8(rgb8)
    buffer = io.BytesIO()
    try:
        Image.fromarray(rgb8).save(buffer, format=format, **dict(settings))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        # KeyError: this Pillow was built without the format.
        raise CodecError(_one_line(error), codec=codec, level=level.name) from error
    height, width, _ = rgb8.shape
    return Bitstream(payload=buffer.getvalue(), height_px=height, width_px=width)


def decode_still(bitstream: Bitstream, codec: str, format: str) -> Rgb8:
    """The picture in a payload. Raises CodecError if it is damaged or of another size."""
    with _opened(bitstream.payload, codec, format) as picture:
        check_claim(bitstream, picture.height, picture.width, codec=codec)
        rgb8 = np.array(picture.convert("RGB"), dtype=np.uint8)
    check_claim(bitstream, rgb8.shape[0], rgb8.shape[1], codec=codec)
    return rgb8


def read_size(payload: bytes, codec: str, format: str) -> Bitstream:
    """What a payload says about its own size. Raises CodecError."""
    with _opened(payload, codec, format) as picture:
        width, height = picture.size
    return Bitstream(payload=payload, height_px=height, width_px=width)


@contextmanager
def _opened(payload: bytes, codec: str, format: str) -> Iterator[ImageFile]:
    """A payload as Pillow's picture; what Pillow raises on damage becomes CodecError."""
    from PIL import Image, UnidentifiedImageError

    try:
        # No other format is tried: flipped bits must not turn one decoder's file into another's.
        with Image.open(io.BytesIO(payload), formats=(format,)) as picture:
            if not 1 <= picture.width * picture.height <= MAX_PIXELS:
                size = f"{picture.width}x{picture.height}"
                raise CodecError(f"the payload claims {size} pixels", codec=codec)
            yield picture
    except UnidentifiedImageError as error:  # its own message names a buffer in memory
        raise CodecError(f"damaged payload (not a {format} file)", codec=codec) from error
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise CodecError(f"damaged payload ({_one_line(error)})", codec=codec) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
