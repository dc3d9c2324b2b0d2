"""`eyechart codec add`: checkpoints become levels; other files are an error of one line."""

from __future__ import annotations

import pickle
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from safetensors.torch import save_file  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.learned import transtic  # noqa: E402
from eyechart.codecs.learned.elic import MINI, Elic  # noqa: E402
from eyechart.codecs.learned.plugins import ElicMiniCodec  # noqa: E402
from eyechart.codecs.learned.transtic import Transtic, TransticShape  # noqa: E402

SMALL: dict[str, Any] = {
    "width": 16, "latent": 24, "depths": (1,) * 6, "heads": (2,) * 6, "window": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return Elic(MINI).state_dict()


def _add(file: Path, folder: Path, *, level: str = "0.01", codec: str = "elic-mini") -> int:
    return run_args(["codec", "add", codec, str(file), "--level", level, "--into", str(folder)])


def test_checkpoints_of_both_kinds_become_levels(
    state: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefixed = {f"module.{key}": value for key, value in state.items()}
    torch.save({"state_dict": prefixed, "epoch": 3}, tmp_path / "a.pth.tar")
    save_file(state, tmp_path / "b.safetensors")
    folder = tmp_path / "weights"
    assert _add(tmp_path / "a.pth.tar", folder, level="0.01") == 0
    assert _add(tmp_path / "b.safetensors", folder, level="0.002") == 0
    assert "level 0.002 of elic-mini, sha256" in capsys.readouterr().out
    codec = ElicMiniCodec(weights=str(folder))
    codec.check()
    assert [level.name for level in codec.levels] == ["0.002", "0.01"]
    assert codec.levels[0].weights == codec.levels[1].weights  # the same tensors, the same file


def test_bad_checkpoints_are_one_line(
    state: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "weights"
    (tmp_path / "text.pth.tar").write_text("no checkpoint")
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "other.pth.tar")
    torch.save([1, 2], tmp_path / "list.pth.tar")
    (tmp_path / "code.pth.tar").write_bytes(pickle.dumps(_RunsCode(), protocol=2))
    broken = {key: value.clone() for key, value in state.items()}
    broken["g_a.0.weight"][0] = float("nan")
    save_file(broken, tmp_path / "nan.safetensors")
    for name, reason in (
        ("none.pth.tar", "no such file"),
        ("text.pth.tar", "a checkpoint"),
        ("other.pth.tar", "lacks "),
        ("list.pth.tar", "holds list"),
        ("code.pth.tar", "a checkpoint"),
        ("nan.safetensors", "not finite"),
    ):
        assert _add(tmp_path / name, folder) == 2
        error = capsys.readouterr().err
        assert name in error
        assert reason in error
        assert error.count("\n") == 1
    assert not _RunsCode.ran
    assert _add(tmp_path / "nan.safetensors", folder, level="high") == 2
    assert _add(tmp_path / "nan.safetensors", folder, codec="jpeg") == 2
    assert not folder.exists()


class _RunsCode:
    ran = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _run, ()


def _run() -> None:
    _RunsCode.ran = True


@pytest.mark.parametrize("name", ["weights", "my, own > weights [1]"])
def test_commands_for_one_codec_take_a_weights_folder(
    name: str,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_file(state, tmp_path / "a.safetensors")
    assert _add(tmp_path / "a.safetensors", tmp_path / name, level="0.01") == 0
    picture, payload, out = (str(tmp_path / one) for one in ("in.png", "out.bin", "out.png"))
    Image.linear_gradient("L").resize((40, 30)).save(picture)
    weights = ["--weights", str(tmp_path / name)]
    codec = ["--codec", "elic-mini:precision=float32"]
    assert run_args(["codec", "encode", picture, payload, *codec, "--level", "0.01", *weights]) == 0
    assert run_args(["codec", "decode", payload, out, "--codec", "elic-mini", *weights]) == 0
    assert Image.open(out).size == (40, 30)
    assert run_args(["codec", "show", "elic-mini", *weights]) == 0
    assert "lambda=0.01" in capsys.readouterr().out


def test_a_weights_folder_without_levels_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, payload = str(tmp_path / "in.png"), tmp_path / "in.bin"
    Image.linear_gradient("L").save(picture)
    payload.write_bytes(b"1234")
    more = ["--codec", "elic", "--weights", str(tmp_path / "none")]
    for command in (
        ["encode", picture, str(tmp_path / "out"), "--level", "1"],
        ["encode", picture, str(tmp_path / "out")],
        ["decode", str(payload), str(tmp_path / "out")],
    ):
        assert run_args(["codec", *command, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "elic: no checkpoint in" in line
        folder = shlex.quote(str(tmp_path / "none"))
        assert f"codec add elic --level LEVEL FILE --into {folder}" in line
    more = ["--codec", "elic", "--weights", picture]
    assert run_args(["codec", "encode", picture, str(tmp_path / "out"), *more]) == 2
    assert f"{picture}: a file; allowed: a folder with levels.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_variant_that_was_found_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = partial(transtic.shape_of, base=TransticShape(**SMALL))
    monkeypatch.setattr(transtic, "shape_of", small)
    torch.manual_seed(0)
    torch.save(Transtic(TransticShape(**SMALL)).state_dict(), tmp_path / "base.pth.tar")
    assert _add(tmp_path / "base.pth.tar", tmp_path / "weights", codec="transtic") == 0
    assert "of transtic (base, without prompts), sha256" in capsys.readouterr().out
