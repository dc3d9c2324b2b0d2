"""Reading and writing images. Corrupt bytes and decompression bombs become ImageError."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eyechart.core.colour import ToSrgb, grey_levels, to_srgb
from eyechart.core.errors import ImageError, InputError, one_line
from eyechart.core.files import is_dir, is_file, read_limited
from eyechart.core.types import Rgb8

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000  # 8000 x 8000; larger images are refused before any pixel is decoded
_MAX_DECODED_BYTES = 640_000_000  # a progressive JPEG of that size; other formats take more or less
MAX_FILE_BYTES = 1 << 28
IMAGE_SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jfif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
# Pillow's formats whose size is known before they are decoded. An icon may contain a larger image
# than it says, and PostScript is a program.
_FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "JPEG2000")
_STRIP_PIXELS = 1 << 16
_RGB_BYTES = 3
_ORIENTATION, _UPRIGHT = 0x0112, 1
_TURNS: dict[int, Callable[[Rgb8], Rgb8]] = {  # by EXIF orientation
    2: lambda rgb8: rgb8[:, ::-1],
    3: lambda rgb8: rgb8[::-1, ::-1],
    4: lambda rgb8: rgb8[::-1],
    5: lambda rgb8: rgb8.swapaxes(0, 1),
    6: lambda rgb8: rgb8[::-1].swapaxes(0, 1),
    7: lambda rgb8: rgb8[::-1, ::-1].swapaxes(0, 1),
    8: lambda rgb8: rgb8[:, ::-1].swapaxes(0, 1),
}


def decode_image(
    data: bytes, *, name: str = "image", max_pixels: int = MAX_PIXELS, as_stored: bool = True
) -> Rgb8:
    """Decode a PNG, JPEG, WebP, ...: (height, width, 3), uint8. Alpha is blended over white.

    as_stored: ignore EXIF orientation and colour profile, as VLMEvalKit does; used for the images
        of tasks. False: turn the image upright and convert it to sRGB.
    Raises:
        ImageError: not an image, truncated, more than `max_pixels` pixels, or too many bytes.
    """
    from PIL import UnidentifiedImageError

    try:
        rgb8, orientation = _decode(data, name, max_pixels, as_stored=as_stored)
    except ImageError:
        raise
    except UnidentifiedImageError as error:  # its own message names a buffer in memory
        raise ImageError(f"{name}: not a readable image (of no known format)") from error
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged files
        raise ImageError(f"{name}: not a readable image ({one_line(error)})") from error
    return np.ascontiguousarray(_TURNS[orientation](rgb8)) if orientation in _TURNS else rgb8


def _decode(data: bytes, name: str, max_pixels: int, *, as_stored: bool) -> tuple[Rgb8, int]:
    """The image, and the EXIF orientation that is to be applied to it, 1 for none."""
    from PIL import Image

    # Pillow warns of sizes that are refused below.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    with Image.open(io.BytesIO(data), formats=_formats()) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{name}: {width}x{height} is more than {max_pixels:,} pixels, the limit"
            )
        _check_bytes(image, name)
        if is_too_short(image, len(data)):
            raise ImageError(
                f"{name}: not a readable image ({len(data):,} bytes are too few for "
                f"{width}x{height})"
            )
        image.load()
        if as_stored:
            return _to_rgb8(image, name, None), _UPRIGHT
        rgb8 = _to_rgb8(image, name, image.info.get("icc_profile"))
        orientation = image.getexif().get(_ORIENTATION)
        return rgb8, orientation if isinstance(orientation, int) else _UPRIGHT


def _formats() -> list[str]:
    # Pillow has AVIF from 11.3 on.
    return [*_FORMATS, "AVIF"] if find_spec("PIL.AvifImagePlugin") else list(_FORMATS)


def _check_bytes(image: Image, name: str) -> None:
    """Refuse, before decoding, an image that takes too much memory. Raises ImageError."""
    bands = len(image.getbands())
    frame = {"I;16": 2}.get(image.mode[:4], 1 if bands == 1 and image.mode not in "IF" else 4)
    decoder = {
        "AVIF": 12,  # planes of 16 bits, and the same as RGBA
        "JPEG2000": 6 * bands,  # as 32 bits, and as up to 16
        "WEBP": 12,  # RGBA three times
    }.get(image.format or "", 2 * bands if image.info.get("progressive") else 0)
    size = image.width * image.height * (frame + max(decoder, _RGB_BYTES))
    if size > _MAX_DECODED_BYTES:
        raise ImageError(
            f"{name}: {image.width}x{image.height} {image.mode} takes {size:,} bytes to "
            f"decode, more than {_MAX_DECODED_BYTES:,}, the limit"
        )


def is_too_short(image: Image, file_bytes: int) -> bool:
    """Whether a JPEG has fewer bytes than the shortest code of its blocks, a bit for each 8x8
    pixels. Its decoder would fill in what is missing."""
    least_bytes = image.width * image.height // (8 * 8 * 8)
    return image.format in ("JPEG", "MPO") and file_bytes < least_bytes


def _to_rgb8(image: Image, name: str, profile: bytes | None) -> Rgb8:
    """The pixels over white, converted from the profile to sRGB. A damaged profile is ignored."""
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    mode = "RGBA" if alpha else "CMYK" if image.mode == "CMYK" else "RGB"
    grey = deep or image.mode in ("1", "L", "LA")
    convert = to_srgb(profile, mode, grey=grey) if profile else None
    levels = grey_levels(convert) if convert and deep else None
    rgb8 = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):  # whole copies would triple the memory
        bottom = min(top + rows, image.height)
        strip = image.crop((0, top, image.width, bottom))
        if deep:
            rgb8[top:bottom] = _grey_rgb8(strip, levels, name)
        else:
            rgb8[top:bottom] = _colour_rgb8(strip, mode, convert)
    return rgb8


def _colour_rgb8(strip: Image, mode: str, convert: ToSrgb | None) -> Rgb8:
    from PIL import Image

    strip = strip.convert(mode)
    if convert is not None:
        strip = convert(strip)
    if mode == "RGBA":
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
    rgb8: Rgb8 = np.asarray(strip.convert("RGB"))
    return rgb8


def _grey_rgb8(strip: Image, levels: Rgb8 | None, name: str) -> Rgb8:
    """Greyscale of 16 bits (0..65535) or floating point (0..1) as 8 bits. Raises ImageError.

    levels: the colours of the 256 levels; those between two of them are interpolated.
    """
    most = 1.0 if strip.mode == "F" else 65535.0
    values = np.array(strip).astype(np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= most):
        raise ImageError(f"{name}: its {strip.mode} values are outside 0 to {most:g}")
    values *= 255 / most
    if levels is None:
        bands = [values] * 3
    else:
        bands = [np.interp(values, np.arange(256), band) for band in levels.T]
    rgb8: Rgb8 = np.rint(np.stack(bands, axis=2)).astype(np.uint8)
    return rgb8


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


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file as it is stored, (0, 0) if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path, formats=_formats()) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


def find_images(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The image files below a folder, subfolders included, and what is left out; both sorted.

    Links to folders are followed, and each folder is searched once, so that links in a circle end.
    Left out: files with another suffix than IMAGE_SUFFIXES, broken links, folders that cannot be
    read. Hidden files and folders are ignored.
    Raises:
        InputError: not a readable folder, or without an image.
    """
    folder = Path(folder)
    found: list[Path] = []
    others: list[Path] = []
    try:
        if not folder.is_dir():
            raise InputError(f"{folder}: {'not a folder' if folder.exists() else 'does not exist'}")
        next(folder.iterdir(), None)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    for path in _entries(folder):
        usable = path.suffix.lower() in IMAGE_SUFFIXES and is_file(path)
        (found if usable else others).append(path)
    if not found:
        raise InputError(f"{folder}: holds no image; looked for {' '.join(IMAGE_SUFFIXES)}")
    return sorted(found), sorted(others)


def _entries(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder, and the folders that cannot be read."""
    waiting, links, seen = [folder], list[Path](), set[Path]()
    while waiting or links:
        # Links come last: an image has the name of its own folder, and not that of a link to it.
        place = waiting.pop() if waiting else links.pop(0)
        try:
            real = place.resolve()
            if real in seen:
                continue
            seen.add(real)
            inside = sorted(place.iterdir())
        except (OSError, RuntimeError):  # RuntimeError: a link to itself
            yield place
            continue
        for path in inside:
            if path.name.startswith("."):
                continue
            if not is_dir(path):  # a link into a folder that cannot be read is no folder either
                yield path
            elif path.is_symlink():
                links.append(path)
            else:
                waiting.append(path)


def encode_png(rgb8: Rgb8, *, fast: bool = False) -> bytes:
    """Encode (height, width, 3), uint8, as a PNG.

    fast: less time to write and to read, for a slightly larger file.
    """
    from PIL import Image

    buffer = io.BytesIO()
    level = {"compress_level": 1} if fast else {}
    Image.fromarray(rgb8).save(buffer, format="PNG", **level)
    return buffer.getvalue()
