"""A network with weights behaves as a codec: any size, any batch, and clear errors."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from safetensors.torch import load_file, save  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs import container  # noqa: E402
from eyechart.codecs.checkpoints import read_listing  # noqa: E402
from eyechart.codecs.learned import payloads, transtic  # noqa: E402
from eyechart.codecs.learned.architecture import Architecture  # noqa: E402
from eyechart.codecs.learned.elic import Elic  # noqa: E402
from eyechart.codecs.learned.neural import NetworkCodec  # noqa: E402
from eyechart.codecs.learned.plugins import (  # noqa: E402
    ElicCodec,
    ElicMiniCodec,
    MlicppCodec,
    TicMiniCodec,
)
from eyechart.codecs.learned.tic import Tic, TicShape  # noqa: E402
from eyechart.codecs.learned.tiles import in_tiles  # noqa: E402
from eyechart.codecs.learned.train import to_tensor  # noqa: E402
from eyechart.codecs.learned.transtic import Transtic  # noqa: E402
from eyechart.codecs.learned.weights import write_level  # noqa: E402
from eyechart.core.errors import CodecError, InputError, PluginError  # noqa: E402
from eyechart.core.types import Bitstream, NeuralCodec, Rgb8  # noqa: E402
from eyechart.runner import readiness  # noqa: E402
from eyechart.testing import check_codec  # noqa: E402
from eyechart.testing.codecs import sample_image  # noqa: E402
from tests.codecs.learned.threads import torch_threads  # noqa: E402


@pytest.fixture(scope="module")
def codec(weights: Path) -> ElicMiniCodec:
    return ElicMiniCodec(weights=str(weights))


@pytest.fixture(scope="module")
def pictures() -> list[Rgb8]:
    rng = np.random.default_rng(0)
    return [sample_image(*size, rng) for size in ((1, 1), (33, 17), (64, 64), (50, 90), (64, 64))]


def test_it_meets_the_requirements_of_a_codec(codec: ElicMiniCodec, weights: Path) -> None:
    assert isinstance(codec, NeuralCodec)
    codec.check()
    check_codec(codec, options={"weights": str(weights)})


def test_a_transtic_network_meets_the_requirements_of_a_codec(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = Transtic(transtic.MINI)
    images = torch.rand(8, 3, 64, 64)
    for lmbda in (0.001, 0.01):
        network.start(images, lmbda)
        network.entropy_bottleneck.update_quantiles()
        state = network.state_dict()
        write_level(tmp_path, "tic-mini", name=f"{lmbda:g}", lmbda=lmbda, weights=state)
    codec = TicMiniCodec(weights=str(tmp_path))
    check_codec(codec, options={"weights": str(tmp_path)}, sizes=((1, 1), (17, 33)))


def test_the_digest_of_a_level_is_that_of_its_tensors_alone(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0)}
    level = write_level(tmp_path, "tic", name="1", lmbda=0.01, weights=tensors)
    assert level.sha256 == hashlib.sha256(save(tensors)).hexdigest()


def test_tic_decodes_along_its_diagonals_what_it_encoded(
    tmp_path: Path, pictures: list[Rgb8]
) -> None:
    shape = TicShape(width=16, latent=32, depths=(1, 1, 0, 0, 0), heads=(2,) * 5, window=4)

    class SmallTic(NetworkCodec):
        architecture = Architecture(
            name="tic", build=lambda: Tic(shape), multiple=32, padding="edge"
        )

    torch.manual_seed(5)
    network = Tic(shape)
    rng = np.random.default_rng(5)
    network.start(to_tensor(np.stack([sample_image(64, 64, rng) for _ in range(8)])), 0.01)
    network.entropy_bottleneck.update_quantiles()
    write_level(tmp_path, "tic", name="1", lmbda=0.01, weights=network.state_dict())
    encoder, decoder = (SmallTic(weights=str(tmp_path)) for _ in range(2))
    for image in pictures:
        bitstream = encoder.encode(image, encoder.levels[0])
        decoded = decoder.decode(bitstream)
        assert np.array_equal(decoded, encoder.decode(bitstream))
        assert np.abs(decoded.astype(int) - image).mean() < 20


def test_results_do_not_depend_on_batches_or_threads(
    codec: ElicMiniCodec, pictures: list[Rgb8]
) -> None:
    level = codec.levels[1]
    loaded = codec.load(level, "cpu")
    with torch_threads(2):
        together = loaded.encode(pictures)
        decoded = loaded.decode(together)
    for image, bitstream, rgb8 in zip(pictures, together, decoded, strict=True):
        assert codec.encode(image, level) == bitstream
        assert np.array_equal(codec.decode(bitstream), rgb8)
        assert rgb8.shape == image.shape


def test_tiles_give_what_the_whole_gives(network: Elic) -> None:
    rng = np.random.default_rng(2)
    x = torch.tensor(sample_image(16 * 40, 16 * 28, rng)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        whole = network.g_a(x)
        size = {"most": 100, "tile": 16, "margin": 8}
        tiled = in_tiles(network.g_a, x, takes=16, gives=1, **size)
        assert torch.allclose(tiled, whole, atol=1e-4)
        back = in_tiles(network.g_s, whole, takes=1, gives=16, **size)
        assert torch.allclose(back, network.g_s(whole), atol=1e-4)


def test_damaged_payloads_end_in_an_error_or_an_image_of_the_right_size(
    codec: ElicMiniCodec, pictures: list[Rgb8]
) -> None:
    rng = np.random.default_rng(1)
    loaded = codec.load(codec.levels[1], "cpu")
    whole = loaded.encode([pictures[2]])[0]
    refused = 0
    for _ in range(60):
        data = bytearray(whole.payload)
        at = int(rng.integers(len(data)))
        data[at] ^= 1 << int(rng.integers(8))
        if rng.random() < 0.3:
            del data[at:]
        damaged = Bitstream(payload=bytes(data), height_px=64, width_px=64)
        try:
            rgb8 = loaded.decode([damaged])[0]
        except CodecError:
            refused += 1
        else:
            assert rgb8.shape == (64, 64, 3)
    assert refused >= 55  # the last bits of a string may not matter


def test_payloads_of_other_weights_are_refused(codec: ElicMiniCodec, pictures: list[Rgb8]) -> None:
    low, high = codec.levels
    payload = codec.encode(pictures[2], low)
    with pytest.raises(CodecError, match=r"made at level '0\.001'; levels here: 0\.01"):
        codec.load(high, "cpu").decode([payload])
    other = replace(low, weights=high.weights)
    with pytest.raises(CodecError, match="made with other weights"):
        codec.load(other, "cpu").decode([payload])
    foreign = Bitstream(payload=b"\xe1\x40\x40" + bytes(20), height_px=64, width_px=64)
    with pytest.raises(CodecError, match="not a payload of this codec"):
        codec.decode(foreign)


def test_a_codec_without_weights_says_where_they_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    codec = ElicCodec()
    assert codec.levels == ()
    with pytest.raises(PluginError, match=r"0\.004.*github\.com.*codec add elic"):
        codec.check()


def test_levels_that_are_not_here_are_named_with_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the lists of the command line too, where the codec is ready."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    folder, some = MlicppCodec().folder, {"a": torch.zeros(1)}
    for lmbda in ("0.0018", "0.0009"):
        write_level(folder, "mlicpp", name=lmbda, lmbda=float(lmbda), weights=some)
    missing = MlicppCodec().missing_levels
    assert re.match(
        r"level 0\.0035 is published at https://github\.com/\S+ \(Apache License 2\.0\); "
        r"level 0\.0004 is not published \(made by",
        missing,
    )
    assert run_args(["codec", "list"]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("mlicpp ")]
    assert f"ready; {missing}" in line
    found = next(one for one in readiness.codecs() if one.name == "mlicpp")
    assert found.state == "ready"
    assert missing in found.detail
    assert MlicppCodec(weights=str(folder)).missing_levels == ""


def test_a_missing_file_is_named(weights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(weights, tmp_path / "copy"))
    (folder / "0.01.safetensors").unlink()
    with pytest.raises(PluginError, match=r"0\.01\.safetensors, is missing"):
        ElicMiniCodec(weights=str(folder)).check()


def test_a_codec_that_ships_is_to_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(ElicMiniCodec.architecture, shipped=tmp_path)
    monkeypatch.setattr(ElicMiniCodec, "architecture", changed)
    with pytest.raises(PluginError, match=r"no checkpoint in .*; .* install it again"):
        ElicMiniCodec().check()


@pytest.mark.parametrize("damage", ["bytes", "keys", "shapes", "nan"])
def test_wrong_weights_are_refused(weights: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(weights, tmp_path / "copy"))
    file = folder / "0.01.safetensors"
    tensors = load_file(file)
    if damage == "bytes":
        file.write_bytes(file.read_bytes()[:-1] + b"\x01")
        reason = "changed"
    else:
        if damage == "keys":
            tensors["g_b.0.weight"] = tensors.pop("g_a.0.weight")
            reason = r"lacks g_a\.0\.weight and has unknown g_b\.0\.weight"
        elif damage == "shapes":
            tensors["g_a.0.weight"] = torch.zeros(7, 3, 5, 5)
            reason = r"g_a\.0\.weight is \(7, 3, 5, 5\), expected \(32, 3, 5, 5\)"
        else:
            tensors["g_a.0.bias"][3] = float("nan")
            reason = r"g_a\.0\.bias holds values that are not finite"
        write_level(folder, "elic-mini", name="0.01", lmbda=0.01, weights=tensors)
    codec = ElicMiniCodec(weights=str(folder))
    with pytest.raises(CodecError, match=reason):
        codec.load(codec.levels[1], "cpu")


def test_a_damaged_listing_is_refused(weights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(weights, tmp_path / "copy"))
    with pytest.raises(InputError, match="weights of elic-mini, not of elic"):
        read_listing(folder, "elic")
    (folder / "levels.json").write_text(json.dumps({"codec": "elic-mini", "levels": [{}]}))
    with pytest.raises(InputError, match="not a list of levels"):
        read_listing(folder, "elic-mini")


def test_half_precision_files_load(weights: Path, tmp_path: Path, pictures: list[Rgb8]) -> None:
    halves = {key: value.half() for key, value in load_file(weights / "0.01.safetensors").items()}
    write_level(tmp_path, "elic-mini", name="0.01", lmbda=0.01, weights=halves)
    codec = ElicMiniCodec(weights=str(tmp_path))
    bitstream = codec.encode(pictures[3], codec.levels[0])
    assert codec.decode(bitstream).shape == pictures[3].shape


def test_a_bitstream_of_an_earlier_version_is_refused(codec: ElicMiniCodec) -> None:
    level = codec.levels[0]
    size = {"height_px": 30, "width_px": 20}
    stream = container.read(
        codec.name, codec.encode(sample_image(30, 20, np.random.default_rng(3)), level).payload
    ).stream
    earlier = container.pack(codec.name, level, stream, **size, version=1)
    with pytest.raises(CodecError, match="version 1 of this codec's bitstream, version 2 is"):
        codec.decode(earlier)


@pytest.mark.slow
@pytest.mark.parametrize("header", ["checked", "renewed"])
def test_a_thousand_damaged_payloads(codec: ElicMiniCodec, header: str) -> None:
    rng = np.random.default_rng(3)
    level = codec.levels[1]
    loaded = codec.load(level, "cpu")
    size = {"height_px": 30, "width_px": 20}
    whole = loaded.encode([sample_image(30, 20, rng)])[0]
    stream = container.read(codec.name, whole.payload).stream
    for _ in range(500):  # `make stress` tries ten thousand of each shipped codec
        data = bytearray(whole.payload if header == "checked" else stream)
        for at in rng.integers(len(data), size=int(rng.integers(1, 4))):
            data[at] = int(rng.integers(256))
        if rng.random() < 0.2:
            del data[int(rng.integers(len(data))) :]
        if header == "checked":
            damaged = Bitstream(payload=bytes(data), **size)
        else:  # a stream that the header's checksum calls whole
            damaged = payloads.pack(codec.name, level, bytes(data), **size)
        try:
            rgb8 = loaded.decode([damaged])[0]
        except CodecError:
            continue
        assert rgb8.shape == (30, 20, 3)
