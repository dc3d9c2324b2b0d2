"""Reading and writing images. Corrupt bytes and decompression bombs become ImageError."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from eyechart.core.errors import ImageError
from eyechart.core.types import Rgb8

MAX_PIXELS = 64_000_000  # 8000 x 8000; larger images are refused before any pixel is decoded


def decode_image(data: bytes, *, name: str = "image", max_pixels: int = MAX_PIXELS) -> Rgb8:
    """Decode a PNG, JPEG, WebP, ...: (height, width, 3), uint8. Alpha is blended over white.

    Raises:
        ImageError: not an image, truncated, or more than `max_pixels` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{name}: {width}x{height} is more than {max_pixels:,} pixels, the limit"
                )
            picture.load()
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                rgba = picture.convert("RGBA")
                white = Image.new("RGBA", rgba.size, "white")
                return np.array(Image.alpha_composite(white, rgba).convert("RGB"), dtype=np.uint8)
            return np.array(picture.convert("RGB"), dtype=np.uint8)
    except ImageError:
        raise
    except UnidentifiedImageError as error:  # its own message names a buffer in memory
        raise ImageError(f"{name}: not a readable picture (of no known format)") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: not a readable picture ({error})") from error


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Rgb8:
    """Read an image file: (height, width, 3), uint8, sRGB.

    Raises:
        ImageError: cannot be read, not an image, damaged, or more than `max_pixels`.

    Examples:
        >>> from PIL import Image
        >>> Image.new("RGB", (64, 48)).save("photo.png")
        >>> read_image("photo.png").shape
        (48, 64, 3)
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    return decode_image(data, name=str(path), max_pixels=max_pixels)


def encode_png(rgb8: Rgb8) -> bytes:
    """Encode (height, width, 3), uint8, as a PNG with the default filters."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb8).save(buffer, format="PNG")
    return buffer.getvalue()
