"""Quality of a run's images: measured once, continued after a stop, one broken part at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import eyechart
from eyechart import quality
from eyechart.cli import quality as cli_quality
from eyechart.cli import run_args
from eyechart.core.identity import image_digest
from eyechart.quality import open_metric
from eyechart.store import Store

CODEC = "jpeg:levels=[5,60]"
IMAGES = 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quality") / "run"
    eyechart.run(
        "quick", out=out, tasks="POPE", codecs=CODEC, adapters="none", max_images=IMAGES, workers=0
    )
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def values(run: Path, level: str) -> dict[str, dict[str, float | None]]:
    """Metric -> image -> value."""
    (cell,) = (one.cell for one in Store(run).cells() if one.cell.level.name == level)
    found = Store(run).quality.values(cell.codec, cell.level)
    return {name: {key: one.value for key, one in own.items()} for name, own in found.items()}


def test_every_decoded_image_has_the_value_of_the_metric(run: Path) -> None:
    steps: list[tuple[int, int]] = []
    made = eyechart.measure_quality(
        run, "psnr,vif", workers=0, advance=lambda doing, done, total: steps.append((done, total))
    )
    assert (made.measured, made.failures) == (2 * IMAGES, ())
    assert steps[-1] == (3 * IMAGES, 3 * IMAGES)  # the uncompressed images, too
    task, codec = eyechart.open_task("POPE", data="eyechart-mini"), eyechart.open_codec(CODEC)
    for level in codec.levels:
        (cell,) = (one for one in Store(run).cells() if one.cell.level == level)
        names = {record.image for record in cell.records()}
        assert len(names) == IMAGES
        for name in names:
            original = task.image(name)
            decoded = codec.decode(codec.encode(original, level))
            for spec, metric in (("psnr", "PSNR"), ("vif", "VIF")):
                expected = open_metric(spec).measure(original, decoded)
                assert values(run, level.name)[metric][image_digest(original)] == expected


def test_a_second_call_measures_only_what_is_new(run: Path) -> None:
    eyechart.measure_quality(run, "psnr", workers=0)
    before = values(run, "5")
    again = eyechart.measure_quality(run, "psnr", workers=0)
    assert (again.measured, again.stored) == (0, 3 * IMAGES)
    eyechart.measure_quality(run, "psnr,vif", workers=0)
    files = [path for path in Store(run).quality.files() if path.name == "5.jsonl"]
    assert sum(path.read_text().count("PSNR") for path in files) == IMAGES
    assert {key: values(run, "5")[key] for key in before} == before
    assert len(values(run, "5")["VIF"]) == IMAGES


def test_a_stopped_measurement_is_continued(run: Path) -> None:
    eyechart.measure_quality(run, "psnr", workers=0)
    whole = values(run, "60")
    (path,) = (path for path in Store(run).quality.files() if path.name == "60.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    assert len(values(run, "60")["PSNR"]) == IMAGES - 1
    assert eyechart.measure_quality(run, "psnr", workers=0).measured == 1
    assert values(run, "60") == whole


def test_an_image_that_cannot_be_decoded_affects_no_other(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = sorted((run / "bitstreams").glob("jpeg-*/5/*.bin"))[0]
    damaged.unlink()
    assert run_args(["quality", str(run), "--metrics", "psnr", "--workers", "0"]) == 1
    shown = capsys.readouterr()
    assert "bitstream is not stored" in shown.err
    assert "5 images measured" in shown.out
    assert len(values(run, "5")["PSNR"]) == IMAGES - 1


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("wurst", "unknown metric 'wurst'"),
        ("psnr:peak=1", "unknown option 'peak'"),
        ("psnr,psnr:", "both named PSNR"),
        (",", "no metric named"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused_before_anything_is_written(
    metrics: str, message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["quality", str(run), "--metrics", metrics]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "quality").exists()


def test_only_compressed_images_are_measured(run: Path, tmp_path: Path) -> None:
    with pytest.raises(eyechart.InputError, match="no eyechart run here"):
        eyechart.measure_quality(tmp_path / "none")
    eyechart.drop_cells(run, codec="jpeg")
    with pytest.raises(eyechart.InputError, match="no answers about compressed images"):
        eyechart.measure_quality(run, workers=0)


def test_merged_runs_keep_their_values(run: Path, tmp_path: Path) -> None:
    eyechart.measure_quality(run, "psnr", workers=0)
    merged = tmp_path / "merged"
    eyechart.merge_runs([run], out=merged)
    assert values(merged, "5") == values(run, "5")
    assert eyechart.measure_quality(merged, "psnr", workers=0).measured == 0


def test_a_run_measures_at_its_end_if_it_is_asked_to(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "quick", "--tasks", "POPE", "--codecs", CODEC, "--adapter", "none"]
    command += ["--max-images", str(IMAGES), "--workers", "0", "--out", str(run), "--no-report"]
    assert run_args([*command, "--quality"]) == 0
    assert f"{2 * IMAGES} images measured" in capsys.readouterr().out
    with Store(run).measuring():  # another process measures: the run ends as usual
        assert run_args([*command, "--quality"]) == 1
    assert "no quality: " in capsys.readouterr().err
    assert set(values(run, "5")) == {"PSNR", "MS-SSIM", "PSNR-HVS", "VMAF", "VIF", "XPSNR"}


def test_the_command_measures_what_the_api_measures_by_default() -> None:
    """The command line imports no package but the API, and repeats the names for its help."""
    assert tuple(cli_quality.DEFAULT_METRICS.split(",")) == quality.DEFAULT_METRICS
