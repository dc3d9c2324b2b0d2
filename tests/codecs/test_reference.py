"""HM and VTM with a substitute executable: arguments, files, versions, faults."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eyechart.codecs.levels import choose_level
from eyechart.codecs.reference import HmCodec, VtmCodec
from eyechart.codecs.yuv import rgb_to_yuv444, yuv444_to_rgb
from eyechart.core.errors import CodecError, InputError
from eyechart.testing.codecs import check_codec, sample_image

STAND_IN = Path(__file__).with_name("reference_stand_in.py")
RGB8 = sample_image(21, 34, np.random.default_rng(0))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """encoder, decoder and cfg, as a user would name them."""
    for name in ("encoder", "decoder"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{STAND_IN}" "$@"\n')
        program.chmod(0o755)
    cfg = tmp_path / "encoder_intra_main_rext.cfg"
    cfg.write_text("# a configuration\n")
    return {
        "encoder": str(tmp_path / "encoder"),
        "decoder": str(tmp_path / "decoder"),
        "cfg": str(cfg),
    }


@pytest.mark.parametrize("factory", [HmCodec, VtmCodec])
def test_it_meets_the_requirements_of_a_codec(
    factory: Callable[..., HmCodec | VtmCodec], files: dict[str, str]
) -> None:
    codec = factory(**files, levels=[42, 49])
    report = check_codec(codec, sizes=[(1, 1), (17, 33)], options={**files, "levels": [42, 49]})
    assert report.mean_bpp["49"] < report.mean_bpp["42"]


def test_hm_is_called_as_its_authors_call_it(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    codec = HmCodec(**files)
    bitstream = codec.encode(RGB8, codec.levels[1])
    called = (tmp_path / "log").read_text()
    source, stream = called.split("\n")[3], called.split("\n")[5]
    assert called == (
        f"-c\n{files['cfg']}\n-i\n{source}\n-b\n{stream}\n-o\n/dev/null\n-wdt\n34\n-hgt\n21\n"
        "-fr\n1\n-f\n1\n-q\n49\n--InputChromaFormat=444\n--InputBitDepth=8\n"
        "--ConformanceWindowMode=1\n--Level=5.1"
    )
    codec.decode(bitstream)
    called = (tmp_path / "log").read_text()
    assert [called.split("\n")[at] for at in (0, 2, 4, 5)] == ["-b", "-o", "-d", "8"]
    assert not Path(source).parent.exists()


def test_vtm_is_called_without_a_level(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    codec = VtmCodec(**files)
    codec.encode(RGB8, codec.levels[-1])
    assert "--Level" not in (tmp_path / "log").read_text()


def test_programs_are_found_by_environment(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, path in files.items():
        monkeypatch.setenv(f"EYECHART_HM_{part.upper()}", path)
    codec = HmCodec()
    assert codec.decode(codec.encode(RGB8, codec.levels[-1])).shape == RGB8.shape


def test_a_missing_program_names_the_option(files: dict[str, str]) -> None:
    with pytest.raises(InputError, match="EYECHART_VTM_ENCODER or the option encoder=PATH"):
        assert VtmCodec().version
    without = {**files, "cfg": "/nowhere.cfg"}
    with pytest.raises(InputError, match=r"cfg '/nowhere.cfg' is not a file"):
        HmCodec(**without).encode(RGB8, HmCodec().levels[0])


def test_another_configuration_is_another_version(files: dict[str, str]) -> None:
    before = HmCodec(**files).version
    Path(files["cfg"]).write_text("# another configuration\n")
    assert HmCodec(**files).version != before


@pytest.mark.parametrize("codec", [HmCodec(), VtmCodec()], ids=["hm", "vtm"])
def test_any_qp_is_a_level(codec: HmCodec | VtmCodec) -> None:
    assert choose_level(codec, "30").knobs == {"qp": 30}
    with pytest.raises(InputError, match="also allowed as qp: whole numbers from 0 to"):
        choose_level(codec, "64")


def test_hm_refuses_a_qp_above_51() -> None:
    with pytest.raises(InputError, match=r"qp 52.*0 to 51"):
        HmCodec(levels=[52])
    assert VtmCodec(levels=[52]).levels[0].knobs == {"qp": 52}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash", "SIGABRT"),
        ("hang", "took more than"),
        ("nothing", r"left no o\.bin"),
        ("empty", r"empty o\.bin"),
        ("message", "exit code 1: Error: unknown option, on stdout"),
    ],
)
def test_an_encoder_that_fails(
    fault: str, message: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", fault)
    codec = HmCodec(**files, timeout_s=0.5 if fault == "hang" else 60)
    with pytest.raises(CodecError, match=f"hm level 51: .*{message}"):
        codec.encode(RGB8, codec.levels[0])


def test_a_decoder_that_writes_too_little(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = VtmCodec(**files)
    bitstream = codec.encode(RGB8, codec.levels[0])
    monkeypatch.setenv("STAND_IN_FAULT", "short")
    with pytest.raises(CodecError, match="not to one 34x21 image"):
        codec.decode(bitstream)


def test_a_full_disk_for_temporary_files_is_an_error(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    codec = HmCodec(**files)
    with pytest.raises(CodecError, match="hm level 51: no temporary folder"):
        codec.encode(RGB8, codec.levels[0])


def test_yuv_is_full_range_bt709() -> None:
    colours = [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]
    rgb8 = np.array([colours], np.uint8)
    planes = np.frombuffer(rgb_to_yuv444(rgb8), np.uint8).reshape(3, 6)
    assert planes.tolist() == [
        [255, 0, 54, 182, 18, 128],
        [128, 128, 99, 30, 255, 128],
        [128, 128, 255, 12, 116, 128],
    ]
    back = yuv444_to_rgb(planes.tobytes(), 1, 6)
    assert np.abs(back.astype(int) - rgb8).max() <= 1
