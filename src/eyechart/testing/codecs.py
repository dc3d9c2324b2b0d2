"""The conformance check for a codec: the properties that this package relies on.

from eyechart.testing import check_codec
print(check_codec(MyCodec()))
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyechart.core.errors import CodecError, InputError, one_line
from eyechart.core.plugins import name_of
from eyechart.core.types import (
    Bitstream,
    Codec,
    CodecSpec,
    Json,
    Level,
    Rgb8,
    component_of,
    is_neural,
)
from eyechart.testing.fresh import build_again, identity_of, image_sha256
from eyechart.testing.neural_codecs import neural_checks

SIZES = ((1, 1), (1, 9), (9, 1), (16, 16), (17, 33), (64, 48))  # (height, width)
_RATE_SIZES = ((96, 128), (128, 96))
_BATCH_SIZES = ((32, 48), (32, 48), (48, 32))
_MEMBERS = ("name", "version", "options", "levels", "encode", "decode")
_NEURAL_MEMBERS = (*_MEMBERS, "reproducible", "check", "load")
_MISTAKES = (
    np.zeros((8, 8), np.uint8),
    np.zeros((8, 8, 4), np.uint8),
    np.zeros((8, 8, 3), np.float32),
    np.zeros((0, 8, 3), np.uint8),
)


class ConformanceError(AssertionError):
    """A plug-in violates requirements; the message lists all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecReport:
    """Results of the checks; as text, one line for each check.

    mean_bpp: level name -> mean rate of the check's larger images. passed: names of checks.
    failures: one `check: error` for each violated requirement.
    reproducible: what a codec with weights declares, and the device of its checks.
    """

    codec: str
    version: str
    mean_bpp: Mapping[str, float]
    passed: tuple[str, ...]
    failures: tuple[str, ...] = ()
    reproducible: str = ""

    def __str__(self) -> str:
        lines = [f"codec {self.codec}, version {self.version}"]
        lines += [f"  passed  {name}" for name in self.passed]
        lines += [f"  FAILED  {failure}" for failure in self.failures]
        lines += [f"  level {name}: {bpp:.4f} bpp" for name, bpp in self.mean_bpp.items()]
        if self.reproducible:
            lines.append(f"  reproducible {self.reproducible}")
        return "\n".join(lines)


def check_codec(
    codec: Codec,
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    options: Mapping[str, Json] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> CodecReport:
    """Check that a codec meets the requirements; needs no test framework.

    Sizes from 1x1 up, determinism, payloads that decode in a fresh process, levels in order of
    rate, damage that ends in CodecError or an image of the right size, wrong input that ends in
    InputError. For a NeuralCodec also: batches equal single images, levels load and close
    independently, payloads of other weights are refused, and a codec that declares itself
    `bitwise` gives the same bytes and pixels at several thread counts. On another device than a CPU
    a fresh process must give the same bytes and pixels there.

    sizes: (height, width) of the images to encode at every level.
    options: keyword arguments that build the codec again in another process (default:
        `codec.options`). The class must be importable there, as it must be for worker processes;
        the object itself is never sent, so its attributes need not be picklable.
    seed: of the test images and of the damage.
    device: that a NeuralCodec's levels are loaded on.
    Raises:
        ConformanceError: lists all violated requirements.

    Examples:
        >>> report = check_codec(eyechart.open_codec("webp"), sizes=[(1, 1), (17, 24)])
        >>> "fresh process" in report.passed
        True
    """
    report = examine_codec(codec, sizes=sizes, options=options, seed=seed, device=device)
    if report.failures:
        listed = "\n".join(f"  - {failure}" for failure in report.failures)
        count = len(report.failures)
        raise ConformanceError(f"codec {codec.name!r} violates {count} requirements:\n{listed}")
    return report


def examine_codec(
    codec: Codec,
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    options: Mapping[str, Json] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> CodecReport:
    """The checks of `check_codec`, with errors in the report instead of an exception."""
    rng = np.random.default_rng(seed)
    options = codec.options if options is None else options
    rates: dict[str, float] = {}
    checks: dict[str, Callable[[], list[str]]] = {
        "identity": lambda: _identity(codec),
        "sizes": lambda: _sizes(codec, sizes, rng),
        "levels": lambda: _levels(codec, rates, rng),
        "determinism": lambda: _determinism(codec, rng),
        "fresh process": lambda: _fresh_process(codec, options, rng),
        "damage": lambda: _damage(codec, rng),
        "wrong input": lambda: _wrong_input(codec),
    }
    reproducible = ""
    if is_neural(codec):
        reproducible = f"{getattr(codec, 'reproducible', 'unknown')}, checked on {device}"
        images = [sample_image(height, width, rng) for height, width in (*sizes, *_BATCH_SIZES)]
        checks.update(neural_checks(codec, options, images, seed, device))
    passed, failures = [], []
    for name, check in checks.items():
        try:
            found = check()
        except (CodecError, InputError) as error:
            found = [str(error)]
        except Exception as error:  # noqa: BLE001 - a third party's codec may raise anything
            found = [f"raised {one_line(error)}"]
        failures += [f"{name}: {failure}" for failure in found]
        if not found:
            passed.append(name)
    return CodecReport(
        codec=name_of(codec),
        version=_version(codec),
        mean_bpp=rates,
        passed=tuple(passed),
        failures=tuple(failures),
        reproducible=reproducible,
    )


def _version(codec: Codec) -> str:
    try:
        return codec.version
    except Exception as error:  # noqa: BLE001 - "identity" reports it
        return f"unknown ({one_line(error)})"


def sample_image(height_px: int, width_px: int, rng: np.random.Generator) -> Rgb8:
    """A test image: shading, an edge, and texture that is weaker the finer it is, mostly grey."""
    rows = np.linspace(0, 1, height_px)[:, None, None]
    columns = np.linspace(0, 1, width_px)[None, :, None]
    colour = rng.uniform(60, 190, size=3)
    values = colour + 60 * np.sin(3 * rows + rng.uniform(0, 6, size=3)) * np.cos(4 * columns)
    for cell in (16, 8, 4, 2):
        shape = (height_px // cell + 1, width_px // cell + 1)
        coarse = rng.normal(size=(*shape, 1)) + 0.3 * rng.normal(size=(*shape, 3))
        fine = np.repeat(np.repeat(coarse, cell, axis=0), cell, axis=1)
        values = values + 1.5 * cell * fine[:height_px, :width_px]
    values = values + 70 * ((rows + columns) > rng.uniform(0.6, 1.4))
    rgb8: Rgb8 = np.clip(values, 0, 255).astype(np.uint8)
    return rgb8


def _identity(codec: Codec) -> list[str]:
    found = []
    members = _NEURAL_MEMBERS if is_neural(codec) else _MEMBERS
    missing = [member for member in members if not hasattr(codec, member)]
    if missing:
        kind = "NeuralCodec" if is_neural(codec) else "Codec"
        found.append(f"lacks {', '.join(missing)} of eyechart.core.types.{kind}")
    if not codec.name or not codec.version:
        found.append(f"name {codec.name!r} or version {codec.version!r} is empty")
    try:
        json.dumps(dict(codec.options), allow_nan=False)
    except (TypeError, ValueError) as error:
        found.append(f"options are not JSON ({error})")
    return found


def _sizes(codec: Codec, sizes: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[str]:
    found = []
    for height, width in sizes:
        rgb8 = sample_image(height, width, rng)
        for level in codec.levels:
            where = f"{width}x{height} at level {level.name}"
            bitstream = codec.encode(rgb8, level)
            if (bitstream.height_px, bitstream.width_px) != (height, width):
                said = f"{bitstream.width_px}x{bitstream.height_px}"
                found.append(f"{where}: the bitstream says {said}")
            if not isinstance(bitstream.payload, bytes) or not bitstream.payload:
                found.append(f"{where}: the payload is not bytes, or empty")
            found += _wrong_image(codec.decode(bitstream), height, width, where)
    return found


def _levels(codec: Codec, rates: dict[str, float], rng: np.random.Generator) -> list[str]:
    found = []
    names = [level.name for level in codec.levels]
    if not names or len(set(names)) < len(names):
        found.append(f"names {names} are none or not all different")
    ranks = [level.rank for level in codec.levels]
    if ranks != list(range(len(ranks))):
        found.append(f"ranks {ranks} are not 0, 1, 2, ...")
    images = [sample_image(height, width, rng) for height, width in _RATE_SIZES]
    for level in codec.levels:
        rates[level.name] = float(np.mean([codec.encode(rgb8, level).bpp for rgb8 in images]))
    means = list(rates.values())
    if means != sorted(means):
        listed = ", ".join(f"{name}: {bpp:.4f} bpp" for name, bpp in rates.items())
        found.append(f"rates do not rise with the rank ({listed})")
    return found


def _determinism(codec: Codec, rng: np.random.Generator) -> list[str]:
    found = []
    rgb8 = sample_image(40, 56, rng)
    kept = rgb8.copy()
    for level in codec.levels:
        first, second = codec.encode(rgb8, level), codec.encode(rgb8, level)
        if first != second:
            found.append(f"level {level.name}: the same image gave two different payloads")
        if not np.array_equal(codec.decode(first), codec.decode(first)):
            found.append(f"level {level.name}: the same payload gave two different images")
    if not np.array_equal(rgb8, kept):
        found.append("encode changed the image it was given")
    return found


def _fresh_process(
    codec: Codec, options: Mapping[str, Json], rng: np.random.Generator
) -> list[str]:
    # A run sends a codec to its workers as a CodecSpec: name and options, never the object.
    spec = CodecSpec(plugin=codec.name, options=dict(options), component=component_of(codec))
    try:
        travelled = pickle.loads(pickle.dumps(spec))
    except Exception as error:  # noqa: BLE001 - options of third parties may be anything
        return [f"its CodecSpec cannot be sent to a worker: {one_line(error)}"]
    if travelled != spec:
        return ["its CodecSpec arrives changed at a worker"]
    bitstream = codec.encode(sample_image(24, 40, rng), codec.levels[0])
    there = build_again(codec, options, bitstream)
    if isinstance(there, str):
        return [there]
    found = []
    if there["identity"] != identity_of(codec):
        found.append(f"built again it is {there['identity']}, not {identity_of(codec)}")
    if there["decoded"] != image_sha256(codec.decode(bitstream)):
        found.append("decoded to another image than in this process")
    return found


def _damage(codec: Codec, rng: np.random.Generator) -> list[str]:
    found = []
    height, width = 40, 56
    level: Level = codec.levels[0]
    payload = codec.encode(sample_image(height, width, rng), level).payload
    cuts = sorted({0, 1, len(payload) // 4, len(payload) // 2, len(payload) - 1})
    damaged = {f"cut after {cut} of {len(payload)} bytes": payload[:cut] for cut in cuts}
    for bit in rng.integers(8 * len(payload), size=12):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << (bit % 8)
        damaged[f"bit {bit} of {8 * len(payload)} flipped"] = bytes(flipped)
    damaged["another file"] = b"not an image at all"
    for what, data in damaged.items():
        try:
            rgb8 = codec.decode(Bitstream(payload=data, height_px=height, width_px=width))
        except CodecError:
            continue
        except Exception as error:  # noqa: BLE001 - to name any error of a third party's codec
            found.append(f"{what}: raised {type(error).__name__} instead of CodecError ({error})")
            continue
        found += _wrong_image(rgb8, height, width, what)
    return found


def _wrong_input(codec: Codec) -> list[str]:
    found = []
    for rgb8 in _MISTAKES:
        what = f"{rgb8.dtype} {rgb8.shape}"
        try:
            codec.encode(rgb8, codec.levels[0])  # type: ignore[arg-type]
        except InputError:
            continue
        except Exception as error:  # noqa: BLE001 - as above
            found.append(f"{what}: raised {type(error).__name__} instead of InputError ({error})")
            continue
        found.append(f"{what}: was coded; only uint8 (height, width, 3) is an image")
    return found


def _wrong_image(rgb8: Rgb8, height: int, width: int, where: str) -> list[str]:
    if rgb8.dtype == np.uint8 and rgb8.shape == (height, width, 3):
        return []
    return [f"{where}: decoded to {rgb8.dtype} {rgb8.shape}, not uint8 ({height}, {width}, 3)"]
