"""Reading images: upright, in sRGB, with all their grey levels, in bounded memory."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from eyechart.core import images
from eyechart.core.errors import ImageError, InputError
from eyechart.core.images import decode_image, read_image


def test_photographs_are_turned_upright_but_not_in_tasks(tmp_path: Path) -> None:
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    path = tmp_path / "phone.png"
    Image.fromarray(stored).save(path, exif=exif)
    assert np.array_equal(read_image(path), np.rot90(stored, -1))
    assert np.array_equal(decode_image(path.read_bytes()), stored)


def test_colour_profiles_are_converted_to_srgb(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path, damaged = tmp_path / "srgb.png", tmp_path / "damaged.png"
    stored = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(stored).save(path, icc_profile=srgb)
    Image.fromarray(stored).save(damaged, icc_profile=b"no profile")
    assert np.abs(read_image(path).astype(int) - stored).max() <= 1
    assert np.array_equal(read_image(damaged), stored)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_greyscale_is_scaled(mode: str, tmp_path: Path) -> None:
    values = np.linspace(0, 1, 64).reshape(8, 8)
    kinds = {"I;16": np.uint16(65535), "I": np.int32(65535), "F": np.float32(1)}
    deep = (values * kinds[mode]).astype(kinds[mode].dtype)
    path = tmp_path / "grey.tiff"
    Image.fromarray(deep).save(path)
    with Image.open(path) as opened:
        assert opened.mode == mode
    assert np.abs(read_image(path)[:, :, 1] / 255 - values).max() < 0.01


def test_grey_values_of_unknown_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "grey.tiff"
    Image.fromarray(np.full((4, 4), 1000, np.float32)).save(path)
    with pytest.raises(ImageError, match="its F values are outside 0 to 1"):
        read_image(path)


def test_alpha_is_blended_over_white_in_every_strip() -> None:
    rgba = np.random.default_rng(0).integers(256, size=(700, 5, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, format="PNG")
    white = Image.new("RGBA", (5, 700), "white")
    wanted = Image.alpha_composite(white, Image.fromarray(rgba)).convert("RGB")
    assert np.array_equal(decode_image(buffer.getvalue()), np.array(wanted))


def test_bytes_are_bounded_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", lambda self: pytest.fail("read"))
    buffer = io.BytesIO()
    Image.new("RGBA", (8000, 8000), (0, 0, 0, 9)).save(buffer, format="WEBP", method=0)
    with pytest.raises(ImageError, match="8000x8000 RGBA takes 512,000,000 bytes"):
        decode_image(buffer.getvalue())


def test_a_jpeg_of_too_few_bytes_for_its_size_is_refused() -> None:
    for options in ({}, {"progressive": True}, {"quality": 1, "optimize": True}):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64)).save(buffer, format="JPEG", **options)
        data = buffer.getvalue()
        assert decode_image(data).shape == (64, 64, 3)
        size = (64).to_bytes(2, "big") * 2
        claims = data.replace(size, (7999).to_bytes(2, "big") * 2, 1)
        with pytest.raises(ImageError, match="bytes are too few for 7999x7999"):
            decode_image(claims)


def test_a_size_over_the_limit_is_refused_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, format="PNG")
    with pytest.raises(ImageError, match="10000x10000 is more than 64,000,000 pixels"):
        decode_image(buffer.getvalue())
    assert not recwarn.list


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_an_image_is_converted_without_copies_of_the_whole(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (2000, 1500)).save(buffer, format="TIFF")
    decode_image(buffer.getvalue())  # loads Pillow's modules
    tracemalloc.start()
    rgb8 = decode_image(buffer.getvalue())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * rgb8.nbytes


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(images.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match=r"huge\.png: 268,435,457 bytes; allowed are 268,435,456"):
        read_image(path)


def test_damage_of_every_format_is_one_line() -> None:
    rng = np.random.default_rng(4)
    for kind in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(256, size=(24, 32, 3), dtype=np.uint8)).save(buffer, kind)
        for _ in range(60):
            data = bytearray(buffer.getvalue())
            for at in rng.integers(len(data), size=3):
                data[at] = rng.integers(256)
            try:
                decode_image(bytes(data), max_pixels=100_000)
            except ImageError as error:
                assert "\n" not in str(error)  # noqa: PT017 - most damage gives an image


def test_images_are_found_in_subfolders_and_the_rest_is_counted(tmp_path: Path) -> None:
    for name in ("b.PNG", "sub/a.webp", "notes.txt", ".hidden.png", ".git/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [tmp_path / "b.PNG", tmp_path / "sub" / "a.webp"]
    assert images.find_images(tmp_path) == (found, [tmp_path / "notes.txt"])
    with pytest.raises(InputError, match="does not exist"):
        images.find_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="not a folder"):
        images.find_images(tmp_path / "notes.txt")


def test_images_of_every_suffix_are_found(tmp_path: Path) -> None:
    names = [f"{number:02}{suffix}" for number, suffix in enumerate(images.IMAGE_SUFFIXES)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in images.find_images(tmp_path)[0]] == names
