"""Any codec, with what a sender does before it: earlier compression, a smaller size, a target rate.

    image -> steps of a chain -> long_side -> codec (its setting searched for a target) -> payload
    payload -> codec -> the original size, if the receiver restores it -> image

The rate is that of the payload over the pixels of the ORIGINAL image. Without `restore` the payload
is the codec's own, so that it can be sent as a file; with it, the original size is in front:

    +-----------+-----------+-------------------------+
    | width_px  | height_px | payload of the codec    |
    | 1-4 bytes | 1-4 bytes |                         |
    +-----------+-----------+-------------------------+
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from eyechart.codecs.adjustments import Adjustments, Target, checked_long_sides
from eyechart.codecs.container import leb128, read_leb128
from eyechart.codecs.frames import check_claim, check_rgb8
from eyechart.codecs.resize import fitted, resized
from eyechart.codecs.steps import ResizeStep
from eyechart.core.errors import CodecError, InputError
from eyechart.core.hooks import (
    HasKnobRange,
    ImageFileSettings,
    KnobRange,
    OpenLevels,
    SelfDescribing,
    WritesImageFile,
    facts_of,
)
from eyechart.core.images import MAX_PIXELS
from eyechart.core.types import (
    LONG_SIDE,
    Bitstream,
    Codec,
    CodecCategory,
    Json,
    Level,
    LoadedCodec,
    NeuralCodec,
    Reproducible,
    Rgb8,
    is_neural,
)

_SHORT = {"quality": "q", "qp": "qp", "distance": "d"}  # in names of levels


def adjusted(codec: Codec, adjustments: Adjustments) -> AdjustedCodec:
    """A codec with adjustments; it has weights if the codec has.

    Raises:
        InputError: a target rate for a codec without a setting; a codec whose payload does not hold
            its size.
    """
    if not isinstance(codec, SelfDescribing):
        raise InputError(
            f"{codec.name}: its payload does not tell its size (no method bitstream_from_payload), "
            "so that sizes and chains are impossible"
        )
    if is_neural(codec):
        return AdjustedNeuralCodec(codec, adjustments)
    return AdjustedCodec(codec, adjustments)


class AdjustedCodec:
    """A codec with adjustments. Its levels are the codec's, at each size."""

    def __init__(self, codec: Codec, adjustments: Adjustments) -> None:
        self._codec, self._adjustments = codec, adjustments
        self._range = _searched(codec) if adjustments.targets else None
        self.name = " > ".join([*adjustments.steps.texts, codec.name])
        self.levels = _levels(codec, adjustments)

    @property
    def options(self) -> Mapping[str, Json]:
        """The codec's, and whether a changed size is restored."""
        restore = self._adjustments.restore
        return {**self._codec.options, **({} if restore is None else {"restore": restore})}

    @property
    def version(self) -> str:
        """Versions of all steps, and of Pillow where it resizes."""
        steps = [step.version for step in self._adjustments.steps.steps]
        resizing = self._adjustments.restore is not None
        after = [ResizeStep(long_side_px=1).version] if resizing else []
        return " > ".join([*steps, self._codec.version, *after])

    @property
    def category(self) -> CodecCategory:
        """As the codec's."""
        return facts_of(self._codec).category or "traditional"

    @property
    def adapted_from(self) -> str:
        """As the codec's."""
        return facts_of(self._codec).adapted_from

    @property
    def chroma(self) -> str:
        """As the codec's."""
        return facts_of(self._codec).chroma

    @property
    def restores_size(self) -> bool:
        """Whether a decoded image has the size of the original."""
        return self._adjustments.restore is not False

    @property
    def _has_header(self) -> bool:
        return self._adjustments.restore is True

    def level_at(self, text: str) -> Level:
        """The level of a name such as `q50@768`, also of a setting or size that is not listed.

        Raises InputError.
        """
        name, at, size = text.rpartition("@") if "@" in text else (text, "", "")
        knobs: dict[str, Json] = {}
        if at:
            if self._adjustments.restore is None:  # the decoded image would have another size
                raise InputError(
                    f"codec {self.name}: no level {text!r}; a size needs the option {LONG_SIDE}"
                )
            (knobs[LONG_SIDE],) = checked_long_sides(
                self.name, [int(size) if size.isdecimal() else size]
            )
        target = next((one for one in self._adjustments.targets if one.name == name), None)
        if target is not None:
            return Level(name=text, rank=0, knobs={target.knob: target.value, **knobs})
        level = _own_level(self._codec, name)
        shown = f"{_short(level)}@{size}" if at else level.name
        return replace(level, name=shown, knobs={**level.knobs, **knobs})

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        """Apply the steps, resize, encode. Raises CodecError, InputError."""
        rgb8 = check_rgb8(rgb8)
        return self.packed(rgb8, self.encode_small(self.prepared(rgb8, level), rgb8, level))

    def encode_small(self, small: Rgb8, original: Rgb8, level: Level) -> bytes:
        """The codec's payload of a prepared image. Raises CodecError, InputError."""
        target = Target.of(level)
        if target is None:
            return self._codec.encode(small, self.own_level(level)).payload
        return self._search(
            small, target, target.bytes_for(original) - self._header_bytes(original)
        )

    def decode(self, bitstream: Bitstream) -> Rgb8:
        """Decode; restore the size, if the receiver does. Raises CodecError."""
        return self.restored(bitstream, self._codec.decode(self.inner(bitstream)))

    def bitstream_from_payload(self, payload: bytes) -> Bitstream:
        """The payload with the original size; without `restore`, with that of the smaller image,
        which is all that it tells. Raises CodecError."""
        if self._has_header:
            height_px, width_px, _ = self._header(payload)
        else:
            inner = self._inner_of(payload)
            height_px, width_px = inner.height_px, inner.width_px
        return Bitstream(payload=payload, height_px=height_px, width_px=width_px)

    def image_file(self, level: Level) -> ImageFileSettings | None:
        """How Pillow writes the payload of a resized image, if nothing else is done to it."""
        alone = not (self._has_header or self._adjustments.steps or Target.of(level))
        if not (alone and isinstance(self._codec, WritesImageFile)):
            return None
        return self._codec.image_file(self.own_level(level))

    def prepared(self, rgb8: Rgb8, level: Level) -> Rgb8:
        """What the codec encodes of an image. Raises CodecError."""
        rgb8 = self._adjustments.steps.apply(rgb8)
        long_side = level.knobs.get(LONG_SIDE)
        if long_side is None:
            return rgb8
        (long_side_px,) = checked_long_sides(self.name, [long_side])
        return resized(rgb8, *fitted(rgb8, long_side_px))

    def packed(self, original: Rgb8, payload: bytes) -> Bitstream:
        """The codec's payload as one of this codec."""
        height_px, width_px, _ = original.shape
        if self._has_header:
            payload = leb128(width_px) + leb128(height_px) + payload
        return Bitstream(payload=payload, height_px=height_px, width_px=width_px)

    def inner(self, bitstream: Bitstream) -> Bitstream:
        """The codec's bitstream inside one of this codec. Raises CodecError."""
        payload = bitstream.payload
        if self._has_header:
            height_px, width_px, payload = self._header(payload)
            check_claim(bitstream, height_px, width_px, codec=self.name)
        found = self._inner_of(payload)
        if found.height_px > bitstream.height_px or found.width_px > bitstream.width_px:
            raise CodecError(
                f"the payload holds a {found.width_px}x{found.height_px} image, the original has "
                f"{bitstream.width_px}x{bitstream.height_px}",
                codec=self.name,
            )
        return found

    def restored(self, bitstream: Bitstream, small: Rgb8) -> Rgb8:
        """A decoded image, of the original size if the receiver restores it."""
        if not self._has_header:
            return small
        return resized(small, bitstream.height_px, bitstream.width_px)

    def own_level(self, level: Level) -> Level:
        """The codec's level of one of this codec."""
        if LONG_SIDE not in level.knobs:
            return level
        knobs = {knob: value for knob, value in level.knobs.items() if knob != LONG_SIDE}
        name = level.name.rpartition("@")[0]
        own = replace(level, name=name, knobs=knobs)
        return replace(own, name=name.removeprefix(_prefix(own)))

    def _inner_of(self, payload: bytes) -> Bitstream:
        assert isinstance(self._codec, SelfDescribing)
        return self._codec.bitstream_from_payload(payload)

    def _header_bytes(self, original: Rgb8) -> int:
        return len(self.packed(original, b"").payload)

    def _header(self, payload: bytes) -> tuple[int, int, bytes]:
        width_px, at = read_leb128(self.name, payload, 0)
        height_px, at = read_leb128(self.name, payload, at)
        if width_px < 1 or height_px < 1 or width_px * height_px > MAX_PIXELS:
            raise CodecError(f"the payload claims {width_px}x{height_px} pixels", codec=self.name)
        return height_px, width_px, payload[at:]

    def _search(self, small: Rgb8, target: Target, most_bytes: float) -> bytes:
        """The payload of the highest rate within a limit. Raises CodecError if there is none."""
        assert isinstance(self._codec, OpenLevels)
        values = (self._range or _searched(self._codec)).rising()

        def encoded(place: int) -> bytes:
            assert isinstance(self._codec, OpenLevels)
            level = self._codec.level_at(f"{values[place]:.10g}")
            return self._codec.encode(small, level).payload

        best, low, high = encoded(0), 0, len(values) - 1
        if len(best) > most_bytes:
            raise CodecError(
                f"{target.name} cannot be reached: the lowest rate takes {len(best):,} bytes",
                codec=self.name,
            )
        while low < high:  # the lowest rate fits, so does `low`
            middle = (low + high + 1) // 2
            payload = encoded(middle)
            if len(payload) <= most_bytes:
                best, low = payload, middle
            else:
                high = middle - 1
        return best


class AdjustedNeuralCodec(AdjustedCodec):
    """An `AdjustedCodec` of a codec with weights."""

    _codec: NeuralCodec

    @property
    def reproducible(self) -> Reproducible:
        """As the codec's."""
        return self._codec.reproducible

    def check(self) -> None:
        """As the codec's. Raises PluginError."""
        self._codec.check()

    def load(self, level: Level, device: str) -> LoadedCodec:
        """Read the codec's level into memory. Raises CodecError."""
        return _LoadedAdjusted(self, self._codec.load(self.own_level(level), device), level)


class _LoadedAdjusted:
    """One level of an AdjustedNeuralCodec in memory."""

    def __init__(self, codec: AdjustedCodec, loaded: LoadedCodec, level: Level) -> None:
        self._codec, self._loaded, self._level = codec, loaded, level

    def encode(self, images: Sequence[Rgb8]) -> list[Bitstream]:
        small = [self._codec.prepared(check_rgb8(rgb8), self._level) for rgb8 in images]
        made = self._loaded.encode(small)
        return [
            self._codec.packed(rgb8, one.payload) for rgb8, one in zip(images, made, strict=True)
        ]

    def decode(self, bitstreams: Sequence[Bitstream]) -> list[Rgb8]:
        decoded = self._loaded.decode([self._codec.inner(one) for one in bitstreams])
        return [
            self._codec.restored(one, rgb8) for one, rgb8 in zip(bitstreams, decoded, strict=True)
        ]

    def close(self) -> None:
        self._loaded.close()


def _levels(codec: Codec, adjustments: Adjustments) -> tuple[Level, ...]:
    base = [
        Level(name=target.name, rank=rank, knobs={target.knob: target.value})
        for rank, target in enumerate(sorted(adjustments.targets, key=lambda one: one.value))
    ] or list(codec.levels)
    if not adjustments.long_sides:
        return tuple(base)
    return tuple(
        replace(
            level,
            name=f"{_short(level)}@{side}",
            rank=rank * len(base) + place,
            knobs={**level.knobs, LONG_SIDE: side},
        )
        for rank, side in enumerate(sorted(adjustments.long_sides))
        for place, level in enumerate(base)
    )


def _own_level(codec: Codec, name: str) -> Level:
    """The codec's level of a name, with or without the short name of its setting before it."""
    for level in codec.levels:
        if name in (level.name, _short(level)):
            return level
    prefix = _prefix(codec.levels[0]) if codec.levels else ""
    if isinstance(codec, OpenLevels):
        return codec.level_at(name.removeprefix(prefix))
    listed = ", ".join(level.name for level in codec.levels) or "none"
    raise InputError(f"codec {codec.name}: no level {name!r}; allowed: {listed}")


def _prefix(level: Level) -> str:
    """`q` of a level that is a quality, `qp` of one that is a QP; "" of others."""
    short = [_SHORT[knob] for knob in level.knobs if knob in _SHORT]
    return short[0] if len(short) == 1 and not level.weights else ""


def _short(level: Level) -> str:
    return _prefix(level) + level.name


def _searched(codec: Codec) -> KnobRange:
    if not (isinstance(codec, HasKnobRange) and isinstance(codec, OpenLevels)):
        raise InputError(f"{codec.name}: has no setting that a target rate could be searched with")
    return codec.knob_range
