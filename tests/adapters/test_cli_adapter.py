"""The command `eyechart adapter`."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from eyechart.adapters import load
from eyechart.adapters.base import open_base
from eyechart.adapters.towers import tower_of
from eyechart.cli import run_args
from eyechart.cli.adapter import app
from eyechart.core.errors import InputError
from eyechart.core.types import Decoding, Request
from eyechart.vlms import checkpoint, open_vlm


@pytest.fixture(scope="module")
def trained(
    tiny_dirs: dict[str, Path], image_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An adapter made by the command line."""
    out = tmp_path_factory.mktemp("adapters") / "jpeg"
    code = run_args(arguments(image_folder, tiny_dirs, out))
    assert code == 0
    return out


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point by which VLMs find adapters, independent of the installation."""
    point = EntryPoint("open", "eyechart.adapters:open_adapter", "eyechart.adapters")
    monkeypatch.setattr(checkpoint, "entry_points", lambda **_: [point])


def arguments(images: Path, tiny_dirs: dict[str, Path], out: Path, *more: str) -> list[str]:
    return [
        *("adapter", "train", str(images), "--vlm", str(tiny_dirs["janus"]), "--out", str(out)),
        *("--codecs", "jpeg:levels=[1,6]", "--steps", "4", "--images-a-step", "2"),
        *("--validation-images", "2", "--float32", *more),
    ]


def test_training_writes_an_adapter_and_shows_what_it_removed(
    trained: Path,
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "log.jsonl"} <= names
    # The same command again has nothing left to train.
    assert run_args(arguments(image_folder, tiny_dirs, trained)) == 0
    out = capsys.readouterr().out
    assert "jpeg/1" in out
    assert "removed" in out


def test_a_vlm_opens_with_the_trained_adapter_and_answers(
    trained: Path, tiny_dirs: dict[str, Path], registered: None
) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    requests = [
        Request(image=picture, prompts=("what is it",), codec="jpeg", level="1"),
        Request(image=picture, prompts=("what is it", "which colour"), codec="source"),
    ]
    vlm = open_vlm(str(tiny_dirs["janus"]), adapter=str(trained), device="cpu")
    answers = vlm.answer(requests, Decoding(max_new_tokens=4))
    assert [len(one) for one in answers] == [1, 2]
    assert vlm.options["adapter"]
    assert "adapter" not in open_vlm(str(tiny_dirs["janus"])).options


def test_the_trained_adapter_changes_features_by_the_condition(
    trained: Path, tiny_dirs: dict[str, Path]
) -> None:
    vlm = open_base(str(tiny_dirs["janus"]))
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    found = []
    for condition in (None, ("jpeg", "1"), ("jpeg", "6")):
        backbone, model = vlm.build()
        if condition is not None:
            adapter = load(trained, model)
            adapter.set_conditions([condition])
        with torch.no_grad():
            inputs = dict(backbone.prepare(picture).inputs)
            found.append(tower_of(model).features(inputs))
    plain, low, high = found
    assert not torch.equal(plain, low)
    assert not torch.equal(low, high)


def test_an_adapter_that_does_not_fit_is_found_without_weights(
    trained: Path, tiny_dirs: dict[str, Path], registered: None, tmp_path: Path
) -> None:
    open_vlm(str(tiny_dirs["janus"]), adapter=str(trained), device="cpu").check()
    with pytest.raises(InputError, match="of family janus-pro, this VLM is of family qwen2_5_vl"):
        open_vlm(str(tiny_dirs["qwen2_5_vl"]), adapter=str(trained), device="cpu").check()
    peft = tmp_path / "peft"
    peft.mkdir()
    (peft / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    (peft / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"adapter_config\.json: damaged"):
        open_vlm(str(tiny_dirs["janus"]), adapter=str(peft), device="cpu").check()


def test_a_stopped_training_prints_what_is_kept_and_how_to_continue(
    trained: Path,
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eyechart.adapters.training.AdapterTraining.run", stop)
    for out, kept in ((trained, f"the state after step 4 is kept in {trained}"), (None, "no step")):
        command = arguments(image_folder, tiny_dirs, out or tmp_path / "new")
        monkeypatch.setattr("sys.argv", ["eyechart", *command])
        assert run_args(command) == 130
        said = capsys.readouterr().err
        assert f"stopped; {kept}" in said
        assert "Continue with: eyechart adapter train" in said


def test_list_shows_adapters_and_damaged_ones(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["adapter", "list", str(trained.parent)]) == 0
    assert "adaln" in capsys.readouterr().out
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "adapter_config.json").write_text("{")
    assert run_args(["adapter", "list", str(tmp_path)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_export_writes_a_stock_directory(
    trained: Path, tiny_dirs: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "stock"
    asked = ["adapter", "export", str(trained), "--codec", "jpeg", "--level", "1"]
    assert run_args([*asked, "--vlm", str(tiny_dirs["janus"]), "--out", str(out)]) == 0
    assert open_vlm(str(out)).name == "stock"
    copy = tmp_path / "copy"
    assert run_args(["adapter", "export", str(trained), "--tell", "blind", "--out", str(copy)]) == 0
    assert (copy / "adapter_model.safetensors").is_file()


def test_bad_input_is_one_line_and_exit_code_2(
    trained: Path,
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    qwen = str(tiny_dirs["qwen2_5_vl"])
    cases = [
        (arguments(empty, tiny_dirs, out), "holds no image"),
        (arguments(tmp_path / "nowhere", tiny_dirs, out), "does not exist"),
        (arguments(image_folder, tiny_dirs, out, "--codecs", "jpg"), "unknown codec 'jpg'"),
        (
            arguments(image_folder, tiny_dirs, out, "--injection", "film"),
            "injection 'film'",
        ),
        (arguments(image_folder, tiny_dirs, out, "--vlm", "openai"), "cannot be trained"),
        (arguments(image_folder, tiny_dirs, out, "--pretend", "hm"), "UNSEEN=KNOWN"),
        (arguments(image_folder, tiny_dirs, out, "--conditioning", "x"), "conditioning='x'"),
        (["adapter", "export", str(trained), "--codec", "vvc", "--out", str(out)], "vocabulary"),
        (["adapter", "export", str(trained), "--out", str(out)], "give either --codec"),
        (
            [
                *("adapter", "export", str(trained), "--codec", "jpeg", "--level", "1"),
                *("--vlm", qwen, "--out", str(out)),
            ],
            "made for janus",
        ),
    ]
    for typed, message in cases:
        assert run_args(typed) == 2, typed
        error = capsys.readouterr().err
        assert message in error.splitlines()[-1], typed
    assert not (out / "adapter_config.json").exists()


def refused(typed: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error line of a refused command."""
    capsys.readouterr()
    assert run_args(typed) == 2, typed
    printed = capsys.readouterr()
    [line] = printed.err.splitlines()
    assert printed.out == ""
    return line


def test_training_refuses_its_input_before_the_work(
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, file = tmp_path / "out", tmp_path / "file.txt"
    file.write_text("mine")
    cases = [
        (("--tasks", "POP"), "unknown task 'POP'; did you mean POPE?"),
        (("--tasks", "POPE:data=nowhere"), "nowhere"),
        (("--trainable", "foo"), "'foo' is not one of encoder, lora"),
        (("--vlm", "gpt-4o"), "a server's weights cannot be trained"),
        (
            ("--vlm", "eyechart-min"),
            "did you mean eyechart-mini, eyechart-mini-s, eyechart-mini-l?",
        ),
        (("--injection", "rope_angle"), "no rotary ones"),
        (("--validation-images", "10"), "10 images are too few"),
        (("--condition-alias", "hm=vvc"), "vvc is not in the vocabulary"),
        (("--out", str(file)), "file.txt is not a folder"),
        (("--out", str(file / "deeper")), "file.txt is not a folder"),
        (("--out", "x" * 300), "cannot be made"),
        (("--cache", str(file)), "file.txt is not a folder"),
    ]
    for more, message in cases:
        assert message in refused(arguments(image_folder, tiny_dirs, out, *more), capsys), more
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_with_other_things_in_it_is_left_as_it_is(
    trained: Path,
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(image_folder.rglob("*"))
    line = refused(arguments(image_folder, tiny_dirs, image_folder), capsys)
    assert "not empty and holds no training" in line
    asked = ["adapter", "export", str(trained), "--codec", "jpeg", "--level", "1"]
    assert "not empty" in refused([*asked, "--out", str(image_folder)], capsys)
    assert sorted(image_folder.rglob("*")) == before
    # A finished adapter is no training: it would be lost.
    copy = tmp_path / "copy"
    assert (
        run_args(
            ["adapter", "export", str(trained), "--conditioning", "unknown", "--out", str(copy)]
        )
        == 0
    )
    weights = (copy / "adapter_model.safetensors").read_bytes()
    line = refused(arguments(image_folder, tiny_dirs, copy), capsys)
    assert "holds no training" in line
    assert (copy / "adapter_model.safetensors").read_bytes() == weights


def test_a_training_stopped_before_its_first_step_continues(
    tiny_dirs: dict[str, Path], image_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "cache" / "bitstreams").mkdir(parents=True)
    assert run_args(arguments(image_folder, tiny_dirs, out)) == 0
    assert (out / "adapter_config.json").is_file()


def test_images_without_codecs_are_an_error_that_names_the_option(
    tiny_dirs: dict[str, Path],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = ["adapter", "train", str(image_folder), "--vlm", str(tiny_dirs["janus"])]
    line = refused([*typed, "--out", str(tmp_path / "out")], capsys)
    assert "no folder 'source' in it" in line
    assert "or name codecs" in line
    line = refused(
        ["adapter", "train", str(tmp_path / "nope"), "--out", str(tmp_path / "out")], capsys
    )
    assert "does not exist" in line


def save_odd_pictures(folder: Path) -> None:
    """Nine that can be used, an animation, a text, and what systems hide in folders."""
    rng = np.random.default_rng(3)

    def picture(width_px: int, height_px: int, mode: str = "RGB") -> Image.Image:
        small = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((width_px, height_px)).convert(mode)

    (folder / "below").mkdir()
    picture(640, 480).save(folder / "large.jpg")
    picture(160, 128).save(folder / "middle.PNG")
    picture(20, 20).save(folder / "small.png")
    picture(1, 1).save(folder / "point.png")
    picture(90, 60, "L").save(folder / "grey.png")
    picture(90, 60, "CMYK").save(folder / "print.jpg")
    picture(90, 60, "RGBA").save(folder / "glass.png")
    picture(90, 60, "P").save(folder / "palette.png")
    picture(61, 47).save(folder / "below" / "odd.webp")
    picture(90, 60).save(
        folder / "moving.gif", save_all=True, append_images=[picture(90, 60), picture(90, 60)]
    )
    (folder / "notes.txt").write_text("from the summer")
    (folder / "._large.jpg").write_bytes(b"a resource fork")


def test_odd_images_are_used_or_reported(
    tiny_dirs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    save_odd_pictures(folder)
    typed = arguments(folder, tiny_dirs, folder / "adapter", "--vlm", str(tiny_dirs["qwen2_5_vl"]))
    assert run_args(typed) == 0
    first = "10 images; not used, unknown format: notes.txt"
    assert capsys.readouterr().err.splitlines()[0] == first
    # Files that the training itself wrote below the images are not listed.
    assert run_args(typed) == 0
    assert capsys.readouterr().err.splitlines()[0] == f"{first}; continues after step 4"


def test_images_that_cannot_be_used_are_named_before_training(
    tiny_dirs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (40, 40), (40 * number, 0, 0)).save(folder / f"{number}.png")
    whole = (folder / "3.png").read_bytes()
    typed = arguments(folder, tiny_dirs, out, "--vlm", str(tiny_dirs["qwen2_5_vl"]))
    (folder / "3.png").write_bytes(whole[: len(whole) // 2])  # its header is whole
    line = refused(typed, capsys)
    assert "1 image cannot be used for training" in line
    assert "3.png: not a readable image" in line
    Image.new("RGB", (600, 2)).save(folder / "0.png")
    (folder / "4.png").write_bytes(b"")
    line = refused(typed, capsys)
    assert "3 images cannot be used for training" in line
    assert "0.png: image of 600x2 pixels" in line
    assert "4.png" in line
    assert not out.exists()


def test_listing_a_missing_folder_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nope: no such folder" in refused(["adapter", "list", str(tmp_path / "nope")], capsys)
    assert run_args(["adapter", "list", str(tmp_path)]) == 0
    assert "universal" in capsys.readouterr().out


def test_export_is_refused_before_the_base_is_loaded(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.txt"
    file.write_text("mine")
    asked = ["adapter", "export", str(trained)]
    refusals = [
        ([*asked, "--codec", "jpeg", "--level", "1", "--out", str(file)], "is not a folder"),
        ([*asked, "--conditioning", "estimated", "--out", str(file)], "is not a folder"),
        (
            [*asked, "--conditioning", "estimated", "--level", "1", "--out", str(tmp_path / "out")],
            "level 1 needs a codec",
        ),
    ]
    for typed, message in refusals:
        assert message in refused(typed, capsys)
    assert file.read_text() == "mine"


def test_export_shows_no_bars_of_other_libraries(
    trained: Path, tiny_dirs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["adapter", "export", str(trained), "--codec", "jpeg", "--level", "1"]
    asked += ["--vlm", str(tiny_dirs["janus"]), "--out", str(tmp_path / "stock")]
    capfd.readouterr()
    assert run_args(asked) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("verb", ["train", "list", "export"])
def test_every_option_has_a_help_text(verb: str) -> None:
    group: Any = typer.main.get_command(app)
    parameters = group.commands[verb].params
    assert parameters
    for parameter in parameters:
        assert parameter.help, parameter.name


def test_the_device_of_codecs_with_weights_is_checked_before_any_work(
    image_folder: Path,
    tiny_dirs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ("--codecs", "elic-mini", "--codec-device", "tpu")
    assert run_args(arguments(image_folder, tiny_dirs, tmp_path / "out", *more)) == 2
    assert "device 'tpu': 'tpu' is not one; allowed: auto, cpu, " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
