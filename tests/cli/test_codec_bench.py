"""`eyechart codec bench`: rates and times, files in foreign formats, faulty images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import CodecError, InputError
from eyechart.core.images import encode_png
from eyechart.core.types import Bitstream, Level, Rgb8
from eyechart.quality import open_metric
from eyechart.report.rate_distortion import bd_rates, curve
from eyechart.runner.bench import BenchCodec, measure
from eyechart.testing.codecs import sample_image
from tests.cli.codec_command import PHOTO, call


def test_bench_tabulates_every_level(png: Path, tmp_path: Path) -> None:
    (png.parent / "second.png").write_bytes(encode_png(PHOTO[:20]))
    out = tmp_path / "bench.json"
    printed = call("bench", png.parent, "--codec", "source,jpeg:levels=[1,10],webp", "--json", out)
    rows = json.loads(out.read_text())["rows"]
    assert [(row["codec"], row["level"]) for row in rows[:4]] == [
        ("source", "lossless"),
        ("jpeg", "1"),
        ("jpeg", "10"),
        ("webp", "0"),
    ]
    codec = JpegCodec(levels=[1, 10])
    rates = [codec.encode(rgb8, codec.levels[1]).bpp for rgb8 in (PHOTO, PHOTO[:20])]
    assert rows[2]["mean_bpp"] == pytest.approx(np.mean(rates))
    assert rows[2]["images"] == 2
    assert rows[0]["quality"]["PSNR dB"] is None
    assert 20 < rows[1]["quality"]["PSNR dB"] < rows[2]["quality"]["PSNR dB"]
    assert "bpp" in printed
    assert f"{rows[2]['mean_bpp']:.4f}" in printed


def test_bench_checks_programs_before_it_begins(
    png: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["codec", "bench", str(png.parent), "--codec", "jpeg,hm"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("eyechart: hm: no encoder; set EYECHART_HM_ENCODER")


def test_bench_leaves_out_unreadable_images_and_names_them(
    png: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (png.parent / "broken.png").write_text("no image")
    out = tmp_path / "bench.json"
    command = ["codec", "bench", str(png.parent), "--codec", "jpeg", "--json", str(out)]
    assert run_args(command) == 0
    shown = capsys.readouterr().err
    assert "broken.png: not a readable" in shown
    assert "1 of 2 images left out" in shown
    assert {row["images"] for row in json.loads(out.read_text())["rows"]} == {1}
    png.unlink()
    out.unlink()
    assert run_args(command) == 2
    assert "none of its images can be read" in capsys.readouterr().err
    assert not out.exists()


def test_bench_needs_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        call("bench", tmp_path, "--codec", "jpeg")
    with pytest.raises(InputError, match="does not exist"):
        call("bench", tmp_path / "nowhere", "--codec", "jpeg")


def test_rates_are_means_of_ratios_and_ratios_of_sums(png: Path, tmp_path: Path) -> None:
    (png.parent / "sub").mkdir()
    (png.parent / "sub" / "photo.png").write_bytes(encode_png(PHOTO[:16]))
    out = tmp_path / "bench.json"
    call("bench", png.parent, "--codec", "jpeg:levels=[10]", "--json", out)
    (row,) = json.loads(out.read_text())["rows"]
    codec = JpegCodec(levels=[10])
    sizes = [len(codec.encode(rgb8, codec.levels[0]).payload) for rgb8 in (PHOTO, PHOTO[:16])]
    pixels = [56 * 40, 56 * 16]
    assert row["total_bpp"] == pytest.approx(8 * sum(sizes) / sum(pixels))
    assert row["mean_bpp"] == pytest.approx(4 * sum(np.divide(sizes, pixels)))
    assert [trial["image"] for trial in row["trials"]] == ["photo.png", "sub/photo.png"]
    assert [trial["size_bytes"] for trial in row["trials"]] == sizes
    assert row["trials"][0]["estimated_bpp"] is None
    seconds = sum(trial["encode_s"] for trial in row["trials"])
    assert row["encode_s_per_mp"] == pytest.approx(1e6 * seconds / sum(pixels))


def test_bd_rate_against_a_codec(png: Path, tmp_path: Path) -> None:
    levels = "levels=[10,30,60,90]"
    out = tmp_path / "bench.json"
    printed = call(
        "bench", png.parent, "--codec", f"jpeg:{levels},optimize=true", "--metrics", "psnr",
        "--json", out, "--against", f"jpeg:{levels},optimize=false",
    )  # fmt: skip
    (found,) = json.loads(out.read_text())["bd_rates"]
    assert found["codec"] == f"jpeg:{levels},optimize=true"
    assert -40 < found["percent"] < 0  # the same images; optimized tables take fewer bits
    assert f"{found['percent']:+.1f} %" in printed


def test_bd_rate_is_refused_with_a_reason(png: Path, tmp_path: Path) -> None:
    printed = call("bench", png.parent, "--codec", "source", "--against", "jpeg")
    assert "a curve needs at least 2" in printed


def test_ms_ssim_is_compared_in_decibels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(sample_image(176, 176, np.random.default_rng(1))))
    jpeg = BenchCodec(spec="jpeg", label="jpeg", codec=JpegCodec(levels=[10, 90]))
    metric = open_metric("ms-ssim")
    found = measure([jpeg], tmp_path, [metric])
    for (_, value), row in zip(curve(found.rows, "jpeg", metric), found.rows, strict=True):
        ms_ssim = row.quality["MS-SSIM"]
        assert ms_ssim is not None
        assert value == pytest.approx(-10 * np.log10(1 - ms_ssim))
    with pytest.raises(InputError, match="no codec 'webp' to compare with; measured: jpeg"):
        bd_rates(found, "webp")


def test_compressai_files_have_its_layout(png: Path, tmp_path: Path) -> None:
    call("bench", png.parent, "--codec", "jpeg:levels=[10,90],webp", "--compressai-json", tmp_path)
    written = json.loads((tmp_path / "jpeg.json").read_text())
    assert written["name"] == "jpeg"
    results = written["results"]
    assert set(results) == {"psnr-rgb", "ms-ssim-rgb", "bpp", "encoding_time", "decoding_time"}
    assert {len(values) for values in results.values()} == {2}
    assert results["psnr-rgb"][0] < results["psnr-rgb"][1]
    assert (tmp_path / "webp.json").is_file()


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.PDF", b"%PDF")]
)
def test_the_plot_has_the_format_of_its_suffix(
    name: str, start: bytes, png: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    again = tmp_path / f"b{name}"
    for path in (tmp_path / name, again):
        call("bench", png.parent, "--codec", "jpeg,source", "--plot", path)
        assert path.read_bytes().startswith(start)
    assert again.read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "a.gif"], r"a\.gif: a plot is one of \.svg, \.png, \.pdf"),
        (["--compressai-json", "in/photo.png"], r"photo\.png is not a folder"),
        (["--against", "jepg"], "unknown codec 'jepg'"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    options: list[str], message: str, png: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call("bench", png.parent, "--codec", "jpeg", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


class Picky:
    """JPEG that refuses images of an odd height."""

    name = "picky"
    version = "1"

    def __init__(self) -> None:
        self._jpeg = JpegCodec(levels=[20, 60])
        self.levels = self._jpeg.levels
        self.options: dict[str, object] = {}

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        if rgb8.shape[0] % 2:
            raise CodecError("odd height", codec=self.name)
        return self._jpeg.encode(rgb8, level)

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return self._jpeg.decode(bitstream)


def test_a_failing_image_affects_no_other_image(png: Path) -> None:
    (png.parent / "odd.png").write_bytes(encode_png(PHOTO[:13]))
    picky = BenchCodec(spec="picky", label="picky", codec=Picky())  # type: ignore[arg-type]
    jpeg = BenchCodec(spec="jpeg", label="jpeg", codec=JpegCodec(levels=[20]))
    found = measure([picky, jpeg], png.parent, [open_metric("psnr")])
    assert [(row.codec, row.images, row.failed) for row in found.rows] == [
        ("picky", 1, 1),
        ("picky", 1, 1),
        ("jpeg", 2, 0),
    ]
    assert len(found.failures) == 2
    assert "odd.png" in found.failures[0]
    png.unlink()
    with pytest.raises(CodecError, match=r"odd\.png.*odd height"):
        measure([picky], png.parent, [open_metric("psnr")])


def test_progress_ends_at_the_total(png: Path) -> None:
    reported: list[tuple[str, int, int]] = []
    jpeg = BenchCodec(spec="jpeg", label="jpeg", codec=JpegCodec(levels=[20, 60]))
    report: Callable[[str, int, int], None] = lambda *one: reported.append(one)  # noqa: E731
    measure([jpeg], png.parent, [], report=report)
    assert reported[0] == ("jpeg 20", 0, 2)
    assert reported[-1][1:] == (2, 2)
