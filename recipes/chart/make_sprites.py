"""Make the sprites from Noto Color Emoji (OFL; Debian package fonts-noto-color-emoji).

    python -m recipes.chart.make_sprites [FONT.ttf]

Writes a palette PNG with alpha for each kind into sprites/, cropped to its opaque pixels, longer
side 128 px.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT_PATH = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
SPRITES_DIR = Path(__file__).parent / "sprites"
STRIKE_PX = 109  # the only size of the bitmap font
SIDE_PX = 128

CODE_POINTS = {
    "dog": "\U0001f415", "cat": "\U0001f431", "horse": "\U0001f40e", "cow": "\U0001f404",
    "pig": "\U0001f437", "rabbit": "\U0001f430", "bear": "\U0001f43b", "lion": "\U0001f981",
    "elephant": "\U0001f418", "fish": "\U0001f420", "bird": "\U0001f426", "duck": "\U0001f986",
    "frog": "\U0001f438", "turtle": "\U0001f422", "penguin": "\U0001f427",
    "apple": "\U0001f34e", "banana": "\U0001f34c", "pizza": "\U0001f355", "cake": "\U0001f382",
    "bread": "\U0001f35e", "carrot": "\U0001f955", "burger": "\U0001f354", "grapes": "\U0001f347",
    "car": "\U0001f697", "bus": "\U0001f68c", "bicycle": "\U0001f6b2", "boat": "\u26f5",
    "airplane": "\u2708\ufe0f", "train": "\U0001f682", "truck": "\U0001f69a",
    "tree": "\U0001f333", "flower": "\U0001f33b", "cactus": "\U0001f335", "mushroom": "\U0001f344",
    "clock": "\u23f0", "umbrella": "\u2602\ufe0f", "ball": "\u26bd", "book": "\U0001f4d5",
    "key": "\U0001f511", "lamp": "\U0001f4a1", "chair": "\U0001fa91", "guitar": "\U0001f3b8",
    "cup": "\u2615", "hat": "\U0001f3a9", "gift": "\U0001f381",
}  # fmt: skip


def cut(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Draw one emoji and crop it to its opaque pixels; RGBA, longer side SIDE_PX."""
    canvas = Image.new("RGBA", (2 * STRIKE_PX, 2 * STRIKE_PX))
    ImageDraw.Draw(canvas).text((20, 20), emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise SystemExit(f"the font has no image of U+{ord(emoji[0]):X}")
    sprite = canvas.crop(box)
    scale = SIDE_PX / max(sprite.size)
    width, height = (max(1, round(side * scale)) for side in sprite.size)
    return sprite.resize((width, height), Image.Resampling.LANCZOS)


def main(font_path: Path) -> None:
    font = ImageFont.truetype(str(font_path), STRIKE_PX)
    SPRITES_DIR.mkdir(exist_ok=True)
    for kind, emoji in CODE_POINTS.items():
        sprite = cut(emoji, font)
        sprite.quantize(128, method=Image.Quantize.FASTOCTREE).save(
            SPRITES_DIR / f"{kind}.png", optimize=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FONT_PATH)
