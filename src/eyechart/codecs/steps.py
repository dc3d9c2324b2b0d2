"""What was done to an image before it is encoded: `jpeg:75 > resize:1024 > ...`.

Images in the wild were compressed before. A chain repeats it: each codec step encodes and decodes
the image, each `resize:N` step makes its longer side at most N pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eyechart.codecs.resize import MOST_PX, fitted, resized
from eyechart.core import plugins
from eyechart.core.errors import InputError
from eyechart.core.hooks import restores_size
from eyechart.core.types import Codec, Level, Rgb8, is_neural

SEPARATOR = ">"
_RESIZE = "resize"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecStep:
    """Encoding and decoding at one level."""

    codec: Codec
    level: Level

    def apply(self, rgb8: Rgb8) -> Rgb8:
        """The decoded image. Raises CodecError."""
        return self.codec.decode(self.codec.encode(rgb8, self.level))

    @property
    def version(self) -> str:
        """The codec's. Raises EyechartError."""
        return self.codec.version


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeStep:
    """A smaller size. long_side_px: the greatest longer side."""

    long_side_px: int

    def apply(self, rgb8: Rgb8) -> Rgb8:
        """The image with a longer side of at most `long_side_px`."""
        return resized(rgb8, *fitted(rgb8, self.long_side_px))

    @property
    def version(self) -> str:
        """That of Pillow, which resizes."""
        import PIL

        return f"pillow {PIL.__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierSteps:
    """The steps before the last codec. texts: as they were typed."""

    texts: tuple[str, ...] = ()
    steps: tuple[CodecStep | ResizeStep, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def resizes(self) -> bool:
        """Whether a step can make the image smaller."""
        return any(
            isinstance(step, ResizeStep) or not restores_size(step.codec) for step in self.steps
        )

    def apply(self, rgb8: Rgb8) -> Rgb8:
        """The image after all steps. Raises CodecError."""
        for step in self.steps:
            rgb8 = step.apply(rgb8)
        return rgb8


def steps_of(texts: Sequence[str], open_codec: Callable[[str], Codec]) -> EarlierSteps:
    """The steps of a chain. Raises PluginError, InputError."""
    return EarlierSteps(texts=tuple(texts), steps=tuple(_step(text, open_codec) for text in texts))


def _step(text: str, open_codec: Callable[[str], Codec]) -> CodecStep | ResizeStep:
    name, _, value = text.partition(":")
    if name == _RESIZE:
        if not value.isdecimal() or not 1 <= int(value) <= MOST_PX:
            raise InputError(f"step {text!r}: allowed is {_RESIZE}:PIXELS, from 1 to {MOST_PX}")
        return ResizeStep(long_side_px=int(value))
    codec = open_codec(text)
    with plugins.guarded(name):
        if is_neural(codec):
            raise InputError(
                f"step {text!r}: a codec with weights is allowed in the last step only"
            )
        if len(codec.levels) != 1:
            raise InputError(
                f"step {text!r}: has {len(codec.levels)} levels, one is needed, as in jpeg:75"
            )
        return CodecStep(codec=codec, level=codec.levels[0])
