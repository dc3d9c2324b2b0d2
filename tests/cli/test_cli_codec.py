"""`eyechart codec`: files in, files out, one clear line for bad input, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.cli.console import terminal_text
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import ImageError, InputError, PluginError
from eyechart.core.images import encode_png, read_image
from eyechart.core.plugins import parse_spec
from tests.cli.codec_command import PHOTO, call


def test_encode_then_decode(png: Path, tmp_path: Path) -> None:
    payload, back = tmp_path / "out.bin", tmp_path / "back.png"
    printed = call("encode", png, payload, "--codec", "jpeg", "--level", "5")
    codec = JpegCodec()
    expected = codec.encode(PHOTO, codec.levels[2])
    assert payload.read_bytes() == expected.payload
    assert f"{len(expected.payload):,} bytes, {expected.bpp:.4f} bpp, PSNR" in printed
    assert call("decode", payload, back, "--codec", "jpeg").endswith("56x40\n")
    assert np.array_equal(read_image(back), codec.decode(expected))


def test_levels_may_be_chosen_by_option(png: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    call("encode", png, out, "--codec", "jpeg:levels=[10,90],optimize=true", "--level", "90")
    assert out.exists()


@pytest.mark.parametrize(
    ("codec", "level"),
    [
        ("jpeg", "40"),
        ("webp", "37"),
        ("avif", "55"),
        ("hevc", "30"),
        ("vvc", "40"),
        ("jpegxl", "2.5"),
    ],
)
def test_any_value_of_the_knob_is_a_level(
    codec: str, level: str, png: Path, tmp_path: Path
) -> None:
    listed, unlisted = tmp_path / "listed", tmp_path / "unlisted"
    call("encode", png, listed, "--codec", f"{codec}:levels=[{level}]", "--level", level)
    call("encode", png, unlisted, "--codec", codec, "--level", level)
    assert unlisted.read_bytes() == listed.read_bytes()


def test_one_level_needs_no_name(png: Path, tmp_path: Path) -> None:
    assert "lossless" in call("encode", png, tmp_path / "o", "--codec", "source")
    with pytest.raises(InputError, match="jpeg: no level given; allowed: 1, 3, 5, 6"):
        call("encode", png, tmp_path / "p", "--codec", "jpeg")


def test_show_lists_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    printed = call("show", "jpeg:levels=[10,30]")
    assert "quality=10" in printed
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "a list of whole numbers" in lines["levels"]
    assert "4:2:0" in lines["subsampling"]
    assert "libjpeg_turbo" in lines["version:"]
    assert "EYECHART_HM_ENCODER" in call("show", "hm")


def test_show_describes_the_codec_also_with_sizes() -> None:
    printed = call("show", "jpeg:quality=[30,50],long_side=112")
    assert "Baseline JPEG" in printed
    assert "q30@112" in printed
    assert "long_side" in call("show", "webp")


def test_check_prints_a_line_a_check() -> None:
    printed = call("check", "webp")
    assert "passed  fresh process" in printed
    assert "level 0: " in printed


def test_source_says_lossless(png: Path, tmp_path: Path) -> None:
    printed = call("encode", png, tmp_path / "o", "--codec", "source", "--level", "lossless")
    assert "lossless" in printed


@pytest.mark.parametrize(
    ("codec", "level", "error", "message"),
    [
        ("jpeg", "0", InputError, "no level '0'; levels: 1, 3, 5, 6; .* from 1 to 100"),
        ("jpeg", "low", InputError, "no level 'low'; levels: 1, 3, 5, 6; .* as quality: whole"),
        ("jpeg", "3.5", InputError, "no level '3.5'"),
        ("jpegxl", "nan", InputError, "no level 'nan'"),
        ("jepg", "1", PluginError, "unknown codec 'jepg'; did you mean jpeg"),
        ("jpeg:nosuch=3", "1", PluginError, "unknown option 'nosuch'; allowed: levels, optimize"),
        ("hm", "51", InputError, "EYECHART_HM_ENCODER"),
    ],
)
def test_bad_input_leaves_no_file(
    codec: str, level: str, error: type[Exception], message: str, png: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.bin"
    with pytest.raises(error, match=message):
        call("encode", png, out, "--codec", codec, "--level", level)
    assert not out.exists()


def test_a_broken_image_is_named(tmp_path: Path, png: Path) -> None:
    png.write_bytes(png.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"photo\.png"):
        call("encode", png, tmp_path / "o", "--codec", "jpeg", "--level", "1")


def test_a_broken_payload_is_named(tmp_path: Path) -> None:
    payload, out = tmp_path / "in.bin", tmp_path / "out.png"
    payload.write_bytes(b"nonsense")
    for codec in ("jpeg", "vvc"):
        with pytest.raises(InputError, match=rf"{codec} image in\.bin"):
            call("decode", payload, out, "--codec", codec)
    with pytest.raises(InputError, match="cannot be read"):
        call("decode", tmp_path / "nowhere", out, "--codec", "jpeg")
    assert not out.exists()


def test_errors_about_non_images_do_not_quote_pillow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "fake.png"
    fake.write_text("no image")
    encode = ["codec", "encode", str(fake), str(tmp_path / "o"), "--codec", "jpeg", "--level", "1"]
    decode = ["codec", "decode", str(fake), str(tmp_path / "o"), "--codec", "jpeg"]
    assert run_args(encode) == 2
    assert run_args(decode) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"eyechart: {fake}: not a readable image (of no known format)",
        "eyechart: jpeg image fake.png: damaged payload (not a JPEG file)",
    ]


def test_text_of_others_reaches_the_terminal_without_control_characters() -> None:
    assert (
        terminal_text("red\x1b[2J\n\tblue \udc80 é")
        == r"red\x1b[2J" + "\n\tblue " + r"\udc80" + " é"
    )


def test_list_shows_ready_and_missing_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    printed = call("list")
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "ready" in lines["jpeg"]
    assert "1 3 5 6" in lines["jpeg"]
    assert "vvenc" in lines["vvc"]
    assert "EYECHART_VTM_ENCODER" in lines["vtm"]


def test_specs() -> None:
    assert parse_spec("jpeg:levels=[1,10,30],optimize=true") == (
        "jpeg",
        {"levels": [1, 10, 30], "optimize": True},
    )


def test_an_input_file_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(encode_png(np.zeros((16, 16, 3), np.uint8)))
    before = photo.read_bytes()
    for command in ("encode", "decode"):
        assert run_args(["codec", command, str(photo), str(photo), "--codec", "source"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("would be overwritten; allowed: another file")
    assert photo.read_bytes() == before
