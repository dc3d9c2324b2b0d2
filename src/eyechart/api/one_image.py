"""One image: through a codec into a file and back, and through a VLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyechart.core import plugins
from eyechart.core.built_in import BUILT_IN_VLM
from eyechart.core.errors import InputError
from eyechart.core.files import check_out, read_limited
from eyechart.core.types import UNCOMPRESSED, component_of

if TYPE_CHECKING:
    from eyechart.core.types import Answer, Codec, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImage:
    """A payload that was written. psnr_db: of the decoded image; infinite if it is lossless,
    None if it is smaller than the original."""

    size_bytes: int
    bpp: float
    psnr_db: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAnswers:
    """Answers, one for each question. codec, level, bpp: of the image that the VLM saw; bpp is None
    for an uncompressed image."""

    answers: tuple[Answer, ...]
    codec: str
    level: str
    bpp: float | None = None


def encode_image(
    image: str | Path, out: str | Path, *, codec: str, level: str | None = None
) -> EncodedImage:
    """Compress an image file into a payload file.

    codec: name, with options. level: by name, or any value that the codec takes; None for a codec
    with one level.

    Raises:
        InputError, ImageError, CodecError, StoreError: nothing is written then.
    """
    from eyechart.codecs import open_codec
    from eyechart.codecs.levels import choose_level
    from eyechart.codecs.reconstruct import SourceImage, reconstruct_one
    from eyechart.core.images import read_image
    from eyechart.quality.psnr import Psnr
    from eyechart.store.files import write_atomic

    check_out(Path(out), source=image)
    coder = open_codec(codec)
    with plugins.guarded(codec):
        component_of(coder)  # a member that raises is named by the spec
        chosen = choose_level(coder, level)
    source = SourceImage.of(read_image(Path(image)), Path(image).name)
    with plugins.guarded(codec):
        decoded = reconstruct_one(coder, chosen, source)
    same_size = decoded.rgb8.shape == source.rgb8.shape
    psnr_db = Psnr().measure(source.rgb8, decoded.rgb8) if same_size else None
    payload = decoded.bitstream.payload
    write_atomic(Path(out), payload)
    return EncodedImage(size_bytes=len(payload), bpp=decoded.bitstream.bpp, psnr_db=psnr_db)


def decode_image(payload: str | Path, out: str | Path, *, codec: str) -> tuple[int, int]:
    """Decode a payload file into a PNG file; -> height and width in pixels.

    Raises:
        InputError, CodecError, StoreError: nothing is written then.
    """
    from eyechart.codecs import open_codec
    from eyechart.codecs.levels import require_levels
    from eyechart.codecs.reconstruct import decode_payload
    from eyechart.core.images import MAX_FILE_BYTES, encode_png
    from eyechart.store.files import write_atomic

    check_out(Path(out), source=payload)
    coder = open_codec(codec)
    with plugins.guarded(codec):
        require_levels(coder)
    data = read_limited(payload, MAX_FILE_BYTES)
    rgb8 = decode_payload(coder, data, Path(payload).name)
    write_atomic(Path(out), encode_png(rgb8))
    return rgb8.shape[0], rgb8.shape[1]


def ask(
    image: str | Path,
    questions: str | Sequence[str],
    *,
    vlm: str = BUILT_IN_VLM,
    codec: str | None = None,
    level: str | None = None,
    adapter: str | Path | None = None,
    device: str = "auto",
    max_new_tokens: int = 64,
) -> ImageAnswers:
    """Ask a VLM about an image file, uncompressed or decoded by a codec.

    codec, level: encode and decode the image first; None: uncompressed. vlm, adapter, device: as
    for `open_vlm`. max_new_tokens: of each answer, 1 or more.

    Returns `answers` with their `text`, and the `bpp` of the image.

    Raises:
        InputError: an empty question, something named cannot be used.
        ImageError: the image cannot be read.
        CodecError: the codec cannot encode or decode the image.
        VLMError: the VLM cannot answer.

    Examples:
        >>> from PIL import Image
        >>> Image.linear_gradient("L").resize((56, 56)).save("gradient.png")
        >>> asked = eyechart.ask("gradient.png", "Is it dark?", codec="jpeg", level="5")
        >>> len(asked.answers), asked.bpp > 0
        (1, True)
    """
    from eyechart.codecs.reconstruct import SourceImage, reconstruct_one
    from eyechart.core.images import read_image
    from eyechart.core.types import Decoding, Request
    from eyechart.runner.resolve import open_spec

    prompts = (questions,) if isinstance(questions, str) else tuple(questions)
    if not prompts or not all(prompt.strip() for prompt in prompts):
        raise InputError("an empty question; allowed: some text")
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; allowed: 1 or more")
    rgb8, bpp = read_image(Path(image)), None
    coder, chosen = _codec_and_level(codec, level)
    opened = open_spec(vlm, None if adapter is None else str(adapter), device)
    if codec is not None:
        with plugins.guarded(codec):
            decoded = reconstruct_one(coder, chosen, SourceImage.of(rgb8, Path(image).name))
        rgb8, bpp = decoded.rgb8, decoded.bitstream.bpp
    name = plugins.name_of(coder)
    request = Request(image=rgb8, prompts=prompts, codec=name, level=chosen.name)
    with plugins.guarded(vlm):
        [answers] = opened.answer([request], Decoding(max_new_tokens=max_new_tokens))
    return ImageAnswers(answers=tuple(answers), codec=name, level=chosen.name, bpp=bpp)


def _codec_and_level(spec: str | None, level: str | None) -> tuple[Codec, Level]:
    from eyechart.codecs import open_codec
    from eyechart.codecs.levels import choose_level

    if spec is None and level is not None:
        raise InputError(f"level {level} needs a codec")
    codec = open_codec(UNCOMPRESSED if spec is None else spec)
    with plugins.guarded(spec or UNCOMPRESSED):
        component_of(codec)
        return codec, choose_level(codec, level)
