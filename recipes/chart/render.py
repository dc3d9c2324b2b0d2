"""Draw a `Scene`: background, soft shadows, signs and things, light, grain.

python -m recipes.chart.render --split train --start 0 --count 64 --sheet sheet.png [--jpeg Q]
python -m recipes.chart.render --split train --start 0 --count 400 --images scenes
"""

from __future__ import annotations

import argparse
import io
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from recipes.chart import backgrounds, cutouts, writing
from recipes.chart.sample import STREAMS, sample_scene
from recipes.chart.scene import SIZE_PX, Rng, Scene, Text, Thing

RGB8 = npt.NDArray[np.uint8]

COLOUR_RGB: dict[str, tuple[int, int, int]] = {
    "red": (214, 36, 38), "orange": (246, 132, 18), "yellow": (250, 216, 34),
    "green": (38, 152, 56), "blue": (34, 82, 208), "purple": (136, 52, 176),
    "white": (246, 246, 244), "black": (28, 28, 30),
}  # fmt: skip
_SHADOW_PX = (6, 9)  # light comes from the upper left, as on the sprites
_SHADOW_SCALE = 4  # shadows are blurred at a quarter of the size


def render(scene: Scene) -> RGB8:
    """The image of `scene`: (224, 224, 3) uint8. The same scene gives the same image."""
    return np.ascontiguousarray(render_planes(scene).transpose(1, 2, 0))


def render_planes(scene: Scene) -> RGB8:
    """The image of `scene` as three planes: (3, 224, 224) uint8."""
    stream = [100 + STREAMS[scene.split], scene.seed]
    rng = np.random.default_rng(stream)
    ground = _to_uint8(backgrounds.paint(scene.background, rng))
    picture = Image.merge("RGB", [Image.fromarray(plane) for plane in ground])
    for text in scene.texts:
        if text.plate is not None:
            _draw_plate(picture, text)
        ink = COLOUR_RGB[text.ink]
        writing.draw_text(picture, text, ink)
    for number, thing in enumerate(scene.things, start=1):
        # A separate random stream, so that removing a thing changes nothing else in the image.
        _draw_thing(picture, thing, np.random.default_rng([*stream, number]))
    pixels = np.stack([np.asarray(plane) for plane in picture.split()]).astype(np.float32)
    pixels *= backgrounds.light_field(scene.light, rng)
    grain = backgrounds.noise("rough", rng) * np.float32(3.0)
    grain += rng.standard_normal(grain.shape, dtype=np.float32) * np.float32(rng.uniform(1.0, 3.0))
    pixels += grain
    return _to_uint8(pixels)


def _to_uint8(planes: npt.NDArray[np.float32]) -> RGB8:
    """(3, 224, 224) colours as uint8, rounded and clipped."""
    rounded = planes + np.float32(0.5)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)


@cache
def _scaled(depth: float) -> list[int]:
    """The values 0 to 255 times `depth`, as a table for `Image.point`."""
    return [int(value * depth) for value in range(256)]


def _drop_shadow(
    picture: Image.Image, mask: Image.Image, at: tuple[int, int], depth: float
) -> None:
    """Darken the image under `mask` ("L", its upper left corner at `at`), blurred and shifted."""
    k, pad = _SHADOW_SCALE, 4
    small = mask.resize((max(1, mask.width // k), max(1, mask.height // k)), Image.Resampling.BOX)
    soft = Image.new("L", (small.width + 2 * pad, small.height + 2 * pad))
    soft.paste(small, (pad, pad))
    soft = soft.filter(ImageFilter.BoxBlur(1.4)).point(_scaled(depth))
    soft = soft.resize((soft.width * k, soft.height * k), Image.Resampling.BILINEAR)
    corner = (at[0] - pad * k + _SHADOW_PX[0], at[1] - pad * k + _SHADOW_PX[1])
    picture.paste((10, 12, 20), corner, soft)


def _draw_plate(picture: Image.Image, text: Text) -> None:
    left, top, right, bottom = text.box_px
    assert text.plate is not None
    big = Image.new("L", (2 * (right - left), 2 * (bottom - top)))
    ImageDraw.Draw(big).rounded_rectangle((0, 0, big.width - 1, big.height - 1), 12, fill=255)
    mask = big.resize((right - left, bottom - top), Image.Resampling.BOX)
    _drop_shadow(picture, mask, (left, top), 0.5)
    picture.paste(COLOUR_RGB[text.plate], (left, top), mask)
    ImageDraw.Draw(picture).rounded_rectangle(
        (left + 2, top + 2, right - 3, bottom - 3), 5, outline=COLOUR_RGB[text.ink]
    )


def _draw_thing(picture: Image.Image, thing: Thing, rng: Rng) -> None:
    level = cutouts.level_for(thing.size_px)
    if thing.colour is None:
        flat = cutouts.sprite_level(thing.kind, level)
    else:
        flat = _painted_shape(thing.kind, thing.colour, level, rng)
    turned, at = _turn(flat, thing, level)
    mask = turned.getchannel("A")
    _drop_shadow(picture, mask, at, 0.45)
    picture.paste(turned, at, mask)


def _turn(flat: Image.Image, thing: Thing, level: int) -> tuple[Image.Image, tuple[int, int]]:
    """Scale and rotate about the centre, at a subpixel position; -> the tile and its corner."""
    reach = int(np.hypot(*flat.size) / 2 * thing.size_px / level) + 2
    left, top = int(thing.x_px) - reach, int(thing.y_px) - reach
    angle = np.deg2rad(thing.rotation_deg)
    scale = level / thing.size_px
    cos, sin = float(np.cos(angle) * scale), float(np.sin(angle) * scale)
    dx, dy = left - thing.x_px, top - thing.y_px  # the tile's corner, relative to the centre
    # Counter-clockwise in the image, so clockwise from the image to the sprite.
    matrix = (
        cos, -sin, cos * dx - sin * dy + flat.width / 2,
        sin, cos, sin * dx + cos * dy + flat.height / 2,
    )  # fmt: skip
    side = (2 * reach + 1, 2 * reach + 1)
    tile = flat.transform(side, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return tile, (left, top)


def _painted_shape(shape: str, colour: str, level: int, rng: Rng) -> Image.Image:
    """A shape with its colour, a texture and a gradient of light."""
    mask = cutouts.mask_level(shape, level)
    field = backgrounds.noise(("rough", "cloud", "wide", "tall")[int(rng.integers(4))], rng)
    texture = field[:level, :level] * np.float32(rng.uniform(5, 15))
    y, x = np.mgrid[0:level, 0:level].astype(np.float32) / level - 0.5
    texture = texture - (x + y) * np.float32(rng.uniform(10, 40))
    if rng.random() < 0.3:  # woven or striped cloth
        wave = np.sin((x * rng.uniform(-1, 1) + y) * np.float32(rng.uniform(30, 60)))
        texture = texture + 12 * wave
    # Dark colours show less of the texture than bright ones, as on lit surfaces.
    base = np.array(COLOUR_RGB[colour], dtype=np.float32)
    rgb = base + texture[:, :, None] * (0.35 + 0.65 * base / 255)
    out = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
    out.putalpha(mask)
    return out


def contact_sheet(pictures: list[RGB8], columns: int = 8) -> Image.Image:
    """All images in rows of `columns`, 4 px apart."""
    step = SIZE_PX + 4
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * step, rows * step), "white")
    for i, pixels in enumerate(pictures):
        sheet.paste(Image.fromarray(pixels), (i % columns * step, i // columns * step))
    return sheet


def _through_jpeg(pixels: RGB8, quality: int) -> RGB8:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Render scenes: a contact sheet, or a file for each."
    )
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--jpeg", type=int, help="compress the images as JPEG with this quality")
    out = parser.add_mutually_exclusive_group(required=True)
    out.add_argument("--sheet", type=Path, help="one PNG of all scenes")
    out.add_argument("--images", type=Path, metavar="DIR", help="a folder of PNGs, one for each")
    given = parser.parse_args()
    seeds = range(given.start, given.start + given.count)
    pictures = [render(sample_scene(given.split, seed)) for seed in seeds]
    if given.jpeg is not None:
        pictures = [_through_jpeg(pixels, given.jpeg) for pixels in pictures]
    if given.sheet is not None:
        contact_sheet(pictures).save(given.sheet)
        return
    given.images.mkdir(parents=True, exist_ok=True)
    for seed, pixels in zip(seeds, pictures, strict=True):
        Image.fromarray(pixels).save(given.images / f"{seed:05d}.png")


if __name__ == "__main__":
    main()
