"""Reading and writing images. Corrupt bytes and decompression bombs become ImageError."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eyechart.core.errors import ImageError, InputError, one_line
from eyechart.core.files import read_limited
from eyechart.core.types import Rgb8

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000  # 8000 x 8000; larger images are refused before any pixel is decoded
_MAX_DECODED_BYTES = 400_000_000  # 8000 x 8000 in RGB, twice; what a decoder may allocate
MAX_FILE_BYTES = 1 << 28
_FRAME_COPIES = {"WEBP": 2, "AVIF": 4}  # held while decoding; other formats go row by row
IMAGE_SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
_STRIP_ROWS = 256


def decode_image(
    data: bytes, *, name: str = "image", max_pixels: int = MAX_PIXELS, as_stored: bool = True
) -> Rgb8:
    """Decode a PNG, JPEG, WebP, ...: (height, width, 3), uint8. Alpha is blended over white.

    as_stored: ignore EXIF orientation and colour profile, as VLMEvalKit does; used for the images
        of tasks. False: turn the image upright and convert it to sRGB.
    Raises:
        ImageError: not an image, truncated, more than `max_pixels` pixels, or too many bytes.
    """
    from PIL import Image, UnidentifiedImageError

    # Pillow warns of sizes that are refused below.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{name}: {width}x{height} is more than {max_pixels:,} pixels, the limit"
                )
            _check_bytes(image, name)
            _check_file(image, len(data), name)
            image.load()
            return _to_rgb8(image if as_stored else _upright_srgb(image), name)
    except ImageError:
        raise
    except UnidentifiedImageError as error:  # its own message names a buffer in memory
        raise ImageError(f"{name}: not a readable image (of no known format)") from error
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged files
        raise ImageError(f"{name}: not a readable image ({one_line(error)})") from error


def _check_bytes(image: Image, name: str) -> None:
    """Refuse, before decoding, an image that takes too much memory. Raises ImageError."""
    sample_bytes = 4 if image.mode in ("I", "F") else 2 if ";16" in image.mode else 1
    copies = _FRAME_COPIES.get(image.format or "", 1)
    size = image.width * image.height * len(image.getbands()) * sample_bytes * copies
    if size > _MAX_DECODED_BYTES:
        raise ImageError(
            f"{name}: {image.width}x{image.height} {image.mode} takes {size:,} bytes to "
            f"decode, more than {_MAX_DECODED_BYTES:,}, the limit"
        )


def _check_file(image: Image, file_bytes: int, name: str) -> None:
    """Refuse a JPEG with fewer bytes than the shortest code of its blocks, a bit for each 8x8
    pixels. Its decoder would fill in what is missing. Raises ImageError."""
    least_bytes = image.width * image.height // (8 * 8 * 8)
    if image.format == "JPEG" and file_bytes < least_bytes:
        raise ImageError(
            f"{name}: not a readable image ({file_bytes:,} bytes are too few for "
            f"{image.width}x{image.height})"
        )


def _upright_srgb(image: Image) -> Image:
    """Apply the EXIF orientation and convert from the embedded colour profile to sRGB."""
    from PIL import ImageCms, ImageOps

    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        # With a damaged profile the colours are assumed to be sRGB.
        with suppress(ImageCms.PyCMSError, OSError):
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, embedded, srgb, outputMode=mode)
            if converted is not None:
                converted.info.update(image.info)
                image = converted
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_rgb8(image: Image, name: str) -> Rgb8:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.repeat(_grey8(image, name)[:, :, None], 3, axis=2)
    from PIL import Image

    alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    rgb8 = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):  # whole copies would triple the memory
        bottom = min(top + _STRIP_ROWS, image.height)
        strip = image.crop((0, top, image.width, bottom))
        if alpha:
            rgba = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        rgb8[top:bottom] = np.asarray(strip.convert("RGB"))
    return rgb8


def _grey8(image: Image, name: str) -> npt.NDArray[np.uint8]:
    """Greyscale of 16 bits (0..65535) or floating point (0..1) as 8 bits. Raises ImageError."""
    most = 1.0 if image.mode == "F" else 65535.0
    values = np.array(image).astype(np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= most):
        raise ImageError(f"{name}: its {image.mode} values are outside 0 to {most:g}")
    return np.rint(values * (255 / most)).astype(np.uint8)


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Rgb8:
    """Read an image file: (height, width, 3), uint8, sRGB, upright by its EXIF orientation.

    Raises:
        ImageError: cannot be read, not an image, damaged, or more than `max_pixels`.

    Examples:
        >>> from PIL import Image
        >>> Image.new("RGB", (64, 48)).save("photo.png")
        >>> read_image("photo.png").shape
        (48, 64, 3)
    """
    data = read_limited(path, MAX_FILE_BYTES, error=ImageError)
    return decode_image(data, name=str(path), max_pixels=max_pixels, as_stored=False)


def find_images(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The image files below a folder, subfolders included, and its other files; both sorted.

    Hidden files and folders are ignored. An image is recognised by its suffix, see IMAGE_SUFFIXES.
    Raises:
        InputError: not a readable folder, or without an image.
    """
    folder = Path(folder)
    found: list[Path] = []
    others: list[Path] = []
    try:
        if not folder.is_dir():
            raise InputError(f"{folder}: {'not a folder' if folder.exists() else 'does not exist'}")
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if not hidden and path.is_file():
                (found if path.suffix.lower() in IMAGE_SUFFIXES else others).append(path)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(f"{folder}: holds no image; looked for {' '.join(IMAGE_SUFFIXES)}")
    return found, others


def encode_png(rgb8: Rgb8, *, fast: bool = False) -> bytes:
    """Encode (height, width, 3), uint8, as a PNG.

    fast: less time to write and to read, for a slightly larger file.
    """
    from PIL import Image

    buffer = io.BytesIO()
    level = {"compress_level": 1} if fast else {}
    Image.fromarray(rgb8).save(buffer, format="PNG", **level)
    return buffer.getvalue()
