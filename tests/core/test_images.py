"""Reading images: upright, in sRGB, with all their grey levels, in bounded memory."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

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


def linear_profile(space: str) -> bytes:
    """An ICC profile (version 2) whose values are proportional to light, with sRGB's primaries."""
    point = {
        "wtpt": (0.9642, 1.0, 0.8249),
        "rXYZ": (0.4360, 0.2225, 0.0139),
        "gXYZ": (0.3851, 0.7169, 0.0971),
        "bXYZ": (0.1431, 0.0606, 0.7141),
    }
    curves = ("kTRC",) if space == "GRAY" else ("rTRC", "gTRC", "bTRC")
    points = ("wtpt",) if space == "GRAY" else tuple(point)
    tags = {
        name: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(x * 65536) for x in point[name]))
        for name in points
    }
    tags |= {name: b"curv" + bytes(8) for name in curves}  # no points: the identity
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name.encode(), start + len(body), len(data))
        body += data
    white = struct.pack(">3i", *(round(x * 65536) for x in point["wtpt"]))
    size = start + len(body)
    head = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", space.encode(), b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize(
    ("mode", "space"),
    [
        *((mode, "RGB ") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F")),
        *((mode, "GRAY") for mode in ("1", "L", "LA", "I;16", "F")),
    ],
)
def test_profiles_of_every_kind_of_image_are_converted(
    mode: str, space: str, tmp_path: Path
) -> None:
    light = np.linspace(0, 1, 700)[:, None].repeat(200, axis=1)  # more rows than a strip
    curve = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    wanted = 255 * (np.rint(curve) if mode == "1" else curve)
    if mode == "I;16":
        image = Image.fromarray(np.rint(light * 65535).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray(light.astype(np.float32))
    else:
        grey = Image.fromarray(np.rint(light * 255).astype(np.uint8))
        image = grey.point(lambda level: 255 * (level > 54)) if mode == "1" else grey
        image = image.convert(mode)
    path = tmp_path / "linear.tiff"
    image.save(path, icc_profile=linear_profile(space))
    with Image.open(path) as opened:
        assert opened.mode == mode
    step = 13 * (mode not in ("I;16", "F", "1"))  # of a level of 8 bits in the shadows
    for channel in range(3):
        assert np.abs(read_image(path)[:, :, channel] - wanted[:, :1]).max() <= 2 + step
    stored = decode_image(path.read_bytes()).astype(float)
    assert np.abs(stored - 255 * light[:, :, None]).max() <= (202 if mode == "1" else 1)


@pytest.mark.parametrize(("mode", "space"), [("RGB", "GRAY"), ("CMYK", "RGB "), ("P", "GRAY")])
def test_a_profile_of_another_colour_space_is_ignored(
    mode: str, space: str, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    paths = tmp_path / "with.tiff", tmp_path / "without.tiff"
    image = Image.fromarray(pixels).convert(mode)
    image.save(paths[0], icc_profile=linear_profile(space))
    image.save(paths[1])
    assert np.array_equal(read_image(paths[0]), read_image(paths[1]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does(orientation: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as opened:
        assert np.array_equal(read_image(path), np.asarray(ImageOps.exif_transpose(opened)))


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
    with pytest.raises(ImageError, match="8000x8000 RGBA takes 1,024,000,000 bytes"):
        decode_image(buffer.getvalue())


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG2000", {}), ("AVIF", {"speed": 10}), ("WEBP", {"method": 0})]
)
def test_formats_that_need_more_memory_are_refused_at_smaller_sizes(
    kind: str, options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_MAX_DECODED_BYTES", 10 * 400 * 300)
    for wanted in (kind, "PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.new("RGB", (400, 300)).save(buffer, wanted, **(options if wanted == kind else {}))
        if wanted == kind:
            with pytest.raises(ImageError, match=r"400x300 RGB takes .* bytes to decode"):
                decode_image(buffer.getvalue())
        else:
            assert decode_image(buffer.getvalue()).shape == (300, 400, 3)


@pytest.mark.parametrize("kind", ["ICO", "ICNS", "EPS", "PDF"])
def test_formats_that_contain_other_images_or_programs_are_not_read(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, kind)
    with pytest.raises(ImageError, match="of no known format"):
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


def test_a_jpeg_payload_of_too_few_bytes_is_damaged() -> None:
    from eyechart.codecs.jpeg import JpegCodec
    from eyechart.core.errors import CodecError

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format="JPEG")
    size = (64).to_bytes(2, "big") * 2
    claims = buffer.getvalue().replace(size, (7999).to_bytes(2, "big") * 2, 1)
    with pytest.raises(CodecError, match="bytes are too few for 7999x7999"):
        JpegCodec().bitstream_from_payload(claims)


@pytest.mark.parametrize(("kind", "most"), [("JPEG", 65_500), ("WebP", 16_383)])
def test_a_side_that_a_format_cannot_hold_is_named(kind: str, most: int) -> None:
    from eyechart.codecs import open_codec
    from eyechart.core.errors import CodecError

    codec = open_codec(kind.lower())
    with pytest.raises(CodecError, match=f"sides of at most {most:,} pixels can be encoded"):
        codec.encode(np.zeros((1, most + 1, 3), np.uint8), codec.levels[0])
    assert codec.encode(np.zeros((1, most, 3), np.uint8), codec.levels[0]).width_px == most


def test_a_size_over_the_limit_is_refused_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, format="PNG")
    with pytest.raises(ImageError, match="10000x10000 is more than 64,000,000 pixels"):
        decode_image(buffer.getvalue())
    assert not recwarn.list


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("profile", [b"", linear_profile("RGB "), linear_profile("GRAY")])
def test_an_image_is_converted_without_copies_of_the_whole(mode: str, profile: bytes) -> None:
    options = {"format": "TIFF", "compression": "tiff_adobe_deflate", "icc_profile": profile}
    buffer, small = io.BytesIO(), io.BytesIO()
    Image.new(mode, (2000, 1500)).save(buffer, **options)
    Image.new(mode, (8, 8)).save(small, **options)
    decode_image(small.getvalue(), as_stored=False)  # loads Pillow's modules
    tracemalloc.start()
    rgb8 = decode_image(buffer.getvalue(), as_stored=False)
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
    for kind in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"):
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


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "photos", tmp_path / "disk"
    for path in (folder / "z" / "a.png", elsewhere / "b.png", elsewhere / "deep" / "c.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (folder / "more").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "z")
    (folder / "circle").symlink_to(folder)
    (elsewhere / "deep" / "up").symlink_to(elsewhere)
    (folder / "one.png").symlink_to(elsewhere / "b.png")
    found, others = images.find_images(folder)
    named = [str(path.relative_to(folder)) for path in found]
    assert named == ["more/b.png", "more/deep/c.png", "one.png", "z/a.png"]
    assert others == []


def test_what_cannot_be_followed_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "long.png").symlink_to("x" * 255 + "/" + "y" * 300)  # stat fails with an error
    (tmp_path / "self").symlink_to(tmp_path / "self")
    os.mkfifo(tmp_path / "pipe.png")
    found, others = images.find_images(tmp_path)
    assert found == [tmp_path / "a.png"]
    assert [path.name for path in others] == ["gone.png", "long.png", "pipe.png", "self"]


def test_images_of_every_suffix_are_found(tmp_path: Path) -> None:
    names = [f"{number:02}{suffix}" for number, suffix in enumerate(images.IMAGE_SUFFIXES)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in images.find_images(tmp_path)[0]] == names
