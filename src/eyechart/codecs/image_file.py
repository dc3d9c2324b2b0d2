"""Codecs whose payload is an image file that Pillow writes and reads."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from eyechart.codecs.frames import check_claim, check_rgb8
from eyechart.codecs.levels import knob_of, level_at, make_levels
from eyechart.core.errors import CodecError, one_line
from eyechart.core.hooks import ImageFileSettings, KnobRange
from eyechart.core.images import MAX_PIXELS, is_too_short
from eyechart.core.types import Bitstream, Level, Rgb8

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


def version_of(library: str) -> str:
    """Versions of Pillow and of the library that it uses; both can change bits."""
    import PIL
    from PIL import features

    return f"{library} {features.version(library) or 'unknown'}, pillow {PIL.__version__}"


_MOST_PX = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_536}  # of libjpeg, libwebp, libaom


class ImageFileCodec:
    """Shared by JPEG, WebP, AVIF and PNG: the payload is a file of Pillow's `format`."""

    name: str
    format: str
    levels: tuple[Level, ...]

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """The file as payload. Raises CodecError, InputError."""
        from PIL import Image

        rgb8 = check_rgb8(rgb8)
        if max(rgb8.shape) > _MOST_PX.get(self.format, max(rgb8.shape)):
            raise CodecError(
                f"sides of at most {_MOST_PX[self.format]:,} pixels can be encoded",
                codec=self.name,
                level=level.name,
            )
        buffer = io.BytesIO()
        try:
            Image.fromarray(rgb8).save(buffer, format=self.format, **self._settings(level))
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            # KeyError: this Pillow was built without the format.
            raise CodecError(one_line(str(error)), codec=self.name, level=level.name) from error
        height, width, _ = rgb8.shape
        return Bitstream(payload=buffer.getvalue(), height_px=height, width_px=width)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        """The image in a payload. Raises CodecError if it is damaged or of another size."""
        with _opened(bitstream.payload, self.name, self.format) as image:
            check_claim(bitstream, image.height, image.width, codec=self.name)
            rgb8 = np.array(image.convert("RGB"), dtype=np.uint8)
        check_claim(bitstream, rgb8.shape[0], rgb8.shape[1], codec=self.name)
        return rgb8

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The payload with the size that is stored in it. Raises CodecError."""
        with _opened(payload, self.name, self.format) as image:
            width, height = image.size
        return Bitstream(payload=payload, height_px=height, width_px=width)

    def image_file(self, level: Level) -> ImageFileSettings:
        """How Pillow writes the payload. Raises InputError."""
        return ImageFileSettings(format=self.format, settings=self._settings(level))

    def _settings(self, level: Level) -> dict[str, Any]:
        """Arguments of `PIL.Image.save` beside the format."""
        return {}


class QualityCodec(ImageFileCodec):
    """An image file whose levels are whole-number qualities."""

    knob_range: KnobRange

    def __init__(self, levels: Sequence[int]) -> None:
        allowed = self.knob_range
        self.levels = make_levels(
            self.name,
            "quality",
            levels,
            least=allowed.least,
            most=allowed.most,
            rate=allowed.rate,
        )

    def level_at(self, text: str) -> Level:
        """The level of any quality. Raises InputError."""
        allowed = self.knob_range
        return level_at(
            self.name, "quality", text, self.levels, least=allowed.least, most=allowed.most
        )

    def _quality(self, level: Level) -> int:
        return int(knob_of(self.name, level, "quality"))


@contextmanager
def _opened(payload: bytes, codec: str, format: str) -> Iterator[ImageFile]:
    """A payload as Pillow's image; Pillow's errors on damaged files become CodecError."""
    from PIL import Image, UnidentifiedImageError

    try:
        # No other format is tried, because flipped bits can make a file look like another format.
        with Image.open(io.BytesIO(payload), formats=(format,)) as image:
            size = f"{image.width}x{image.height}"
            if not 1 <= image.width * image.height <= MAX_PIXELS:
                raise CodecError(f"the payload claims {size} pixels", codec=codec)
            if is_too_short(image, len(payload)):
                reason = f"{len(payload):,} bytes are too few for {size} pixels"
                raise CodecError(f"damaged payload ({reason})", codec=codec)
            if image.mode != "RGB":
                # The encoders write RGB. Alpha and deep samples cost memory before anything else.
                raise CodecError(f"the payload claims {size} {image.mode}", codec=codec)
            yield image
    except CodecError:
        raise
    except UnidentifiedImageError as error:  # its own message names a buffer in memory
        raise CodecError(f"damaged payload (not a {format} file)", codec=codec) from error
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged files
        reason = one_line(str(error)) or type(error).__name__
        raise CodecError(f"damaged payload ({reason})", codec=codec) from error
