"""Images that are computed in batches, as on a GPU, give what each of them gives alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.codecs.learned.neural import (
    LoadedNetwork,
    NetworkCodec,
    Precision,
    batch_size,
)
from eyechart.codecs.learned.plugins import ElicMiniCodec
from eyechart.core.errors import CodecError, InputError
from eyechart.core.types import Rgb8
from eyechart.testing import check_codec
from eyechart.testing.codecs import sample_image
from tests.codecs.learned.small_networks import (
    SMALL_CODECS,
    SmallElic,
    write_small_weights,
)


def loaded_in_batches(
    codec: NetworkCodec, folder: Path, *, precision: Precision = "float32"
) -> LoadedNetwork:
    """A level on the CPU that computes batches of the sizes that a GPU would compute."""
    from eyechart.codecs.learned.weights import load_weights

    level = codec.levels[1]
    network = codec.architecture.build()
    load_weights(network, folder / f"{level.name}.safetensors", codec=codec.name)
    return LoadedNetwork(
        network,
        codec.architecture,
        level,
        "cpu",
        precision=precision,
        images_at_once=batch_size,
    )


def pictures(count: int, *, seed: int = 0) -> list[Rgb8]:
    """Images of two sizes in turn."""
    rng = np.random.default_rng(seed)
    sizes = ((20, 60), (20, 130))
    return [sample_image(*sizes[index % 2], rng) for index in range(count)]


@pytest.mark.parametrize("kind", SMALL_CODECS)
def test_batches_give_what_single_images_give(kind: type[SmallElic], tmp_path: Path) -> None:
    codec = kind(weights=str(tmp_path))
    write_small_weights(codec, tmp_path)
    loaded = loaded_in_batches(codec, tmp_path)
    images = pictures(11)
    alone = [loaded.encode([image])[0] for image in images]
    decoded_alone = [loaded.decode([bitstream])[0] for bitstream in alone]
    assert len({bitstream.payload for bitstream in alone}) == 11
    for count in (1, 3, 11):
        assert loaded.encode(images[:count]) == alone[:count]
        decoded = loaded.decode(alone[:count])
        for image, rgb8, single in zip(images, decoded, decoded_alone, strict=False):
            assert rgb8.shape == image.shape
            assert np.array_equal(rgb8, single)
    assert loaded.encode([]) == loaded.decode([]) == []
    estimates = [loaded.estimate_bits([image])[0] for image in images[:3]]
    assert loaded.estimate_bits(images[:3]) == pytest.approx(estimates, rel=1e-6)


def test_one_damaged_bitstream_is_an_error_of_its_batch(tmp_path: Path) -> None:
    codec = SmallElic(weights=str(tmp_path))
    write_small_weights(codec, tmp_path)
    loaded = loaded_in_batches(codec, tmp_path)
    first, second = loaded.encode(pictures(2))
    with pytest.raises(CodecError):
        loaded.decode([first, type(second)(
            payload=second.payload[:-9], height_px=second.height_px, width_px=second.width_px
        )])  # fmt: skip
    assert len(loaded.decode([first, second])) == 2


@pytest.mark.parametrize(("height", "width"), [(16, 16), (256, 256), (512, 768), (1536, 1536)])
def test_batches_hold_no_more_pixels_than_the_largest_image_without_tiles(
    height: int, width: int
) -> None:
    count = batch_size(height, width)
    assert 1 <= count <= 8
    assert count * height * width <= 1536 * 1536
    assert batch_size(3008, 4032) == 1


@pytest.mark.parametrize(
    ("kind", "precision"),
    [*((kind, "bfloat16") for kind in SMALL_CODECS), (SmallElic, "float16")],
)
def test_half_precision_decodes_its_own_bitstreams(
    kind: type[SmallElic], precision: Precision, tmp_path: Path
) -> None:
    whole, half = kind(weights=str(tmp_path)), kind(weights=str(tmp_path), precision=precision)
    write_small_weights(whole, tmp_path)
    level = whole.levels[1]
    image = pictures(2)[1]
    bitstream = half.encode(image, level)
    decoded = half.decode(bitstream)
    assert np.array_equal(decoded, half.decode(bitstream))
    exact = whole.decode(bitstream)  # of the same latent
    assert np.abs(decoded.astype(int) - exact).mean() < 4
    assert not np.array_equal(decoded, exact)


@pytest.mark.slow
def test_half_precision_decodes_to_the_same_in_a_fresh_process() -> None:
    options = {"precision": "bfloat16"}
    check_codec(ElicMiniCodec(precision="bfloat16"), options=options, sizes=((1, 1), (17, 33)))


def test_the_precision_is_part_of_the_identity_unless_it_is_float32() -> None:
    assert ElicMiniCodec().options == {}
    assert ElicMiniCodec(precision="bfloat16").options == {"precision": "bfloat16"}
    with pytest.raises(InputError, match="'int8'; allowed: float32, bfloat16, float16"):
        ElicMiniCodec(precision="int8")  # type: ignore[arg-type]
