"""Models of CompressAI as a codec, with a substitute for that package."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from torch import Tensor, nn  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs import container  # noqa: E402
from eyechart.codecs.learned.compressai_models import CompressAiCodec  # noqa: E402
from eyechart.core.errors import CodecError, InputError, PluginError  # noqa: E402
from eyechart.core.plugins import parse_spec  # noqa: E402
from eyechart.core.types import Bitstream  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402

PHOTO = sample_image(40, 100, np.random.default_rng(2))


class Toy(nn.Module):
    """The interface of CompressAI's models: keeps 8 bits of every pixel, scaled by a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Toy:
        network = cls()
        network.load_state_dict(state)
        return network

    def update(self, *, force: bool) -> bool:
        return force

    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"x_hat": x, "likelihoods": {"y": torch.full(x.shape, 2.0**-8)}}

    def compress(self, x: Tensor) -> dict[str, Any]:
        values = (x * self.scale * 255).round().to(torch.uint8)[0].numpy()
        strings = [[values[:1].tobytes()], [values[1:].tobytes()]]
        return {"strings": strings, "shape": torch.Size((x.shape[2] // 64, x.shape[3] // 64))}

    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, Tensor]:
        values = np.frombuffer(strings[0][0] + strings[1][0], np.uint8)
        x = torch.tensor(values).reshape(1, 3, 64 * shape[0], 64 * shape[1])
        return {"x_hat": x / 255 / self.scale}


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with two of three qualities of the stand-in's model."""
    image: Any = ModuleType("compressai.zoo.image")
    image.model_urls = {"toy": {"mse": {q: f"https://host/v1/toy-{q}.pth.tar" for q in (1, 2, 3)}}}
    image.model_architectures = {"toy": Toy}
    image.load_pretrained = lambda state: state
    zoo: Any = ModuleType("compressai.zoo")
    zoo.image = image
    for module in (ModuleType("compressai"), zoo, image):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for quality in (1, 2):
        state = {"scale": torch.full((1,), quality / 4)}
        torch.save(state, tmp_path / f"toy-{quality}.pth.tar")
    return tmp_path


def test_images_of_any_size_come_back(weights: Path) -> None:
    codec = CompressAiCodec(model="toy:2", weights=str(weights))
    codec.check()
    (level,) = codec.levels
    for rgb8 in (PHOTO, PHOTO[:1, :1], PHOTO[:, :64]):
        bitstream = codec.encode(rgb8, level)
        again = CompressAiCodec(model="toy", weights=str(weights))
        decoded = again.decode(again.bitstream_from_payload(bitstream.payload))
        assert decoded.shape == rgb8.shape
        assert np.abs(decoded.astype(int) - rgb8).max() <= 1
    (bits,) = codec.load(level, "cpu").estimate_bits([PHOTO])
    assert bits == 8 * 3 * 64 * 128


def test_all_qualities_whose_weights_are_there_are_levels(weights: Path) -> None:
    codec = CompressAiCodec(model="toy", weights=str(weights))
    codec.check()
    assert [level.name for level in codec.levels] == ["1", "2"]
    assert codec.levels[0].weights != codec.levels[1].weights


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("toy:3", PluginError, r"no weights .*toy-3\.pth\.tar; they are published at https://host"),
        ("toy:9", InputError, "quality '9' of toy for mse; allowed are 1, 2, 3"),
        ("", InputError, "model ''; allowed are toy, as compressai:ARCH:QUALITY"),
        ("tow:1", InputError, "model 'tow'; allowed are toy"),
    ],
)
def test_what_is_not_there_is_one_line(
    model: str, error: type[Exception], message: str, weights: Path
) -> None:
    codec = CompressAiCodec(model=model, weights=str(weights))
    with pytest.raises(error, match=message):
        codec.check()


def test_weights_of_another_network_are_refused(weights: Path) -> None:
    torch.save({"other": torch.zeros(2)}, weights / "toy-1.pth.tar")
    codec = CompressAiCodec(model="toy:1", weights=str(weights))
    with pytest.raises(CodecError, match=r"toy-1\.pth\.tar: not weights of toy"):
        codec.encode(PHOTO, codec.levels[0])


def test_damage_behind_the_header_is_an_error(weights: Path) -> None:
    codec = CompressAiCodec(model="toy:1", weights=str(weights))
    level = codec.levels[0]
    whole = codec.encode(PHOTO, level)
    _, stream = container.unpack(codec.name, whole, codec.levels)
    for damaged in (stream[:20], b"", b"\x01\x01" + stream[2:], b"\xff" * 40):
        made = container.pack(codec.name, level, damaged, height_px=40, width_px=100)
        with pytest.raises(CodecError, match="damaged"):
            codec.decode(made)
    with pytest.raises(CodecError, match="damaged"):
        codec.decode(Bitstream(payload=whole.payload[:-3], height_px=40, width_px=100))


def test_without_compressai_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "compressai", None)
    (tmp_path / "a.png").touch()
    assert run_args(["codec", "bench", str(tmp_path), "--codec", "compressai:mbt2018:4"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("needs the package compressai; pip install 'eyechart[compressai]'")


def test_a_model_needs_no_option_name() -> None:
    assert parse_spec("compressai:mbt2018:4,metric=ms-ssim") == (
        "compressai",
        {"model": "mbt2018:4", "metric": "ms-ssim"},
    )
