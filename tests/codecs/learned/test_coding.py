"""Coded latents round-trip; differences are errors."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")

from torch import Tensor  # noqa: E402

from eyechart.codecs.learned.coding import LatentDecoder, LatentEncoder  # noqa: E402
from eyechart.codecs.learned.densities import bottleneck_tables  # noqa: E402
from eyechart.codecs.learned.elic import Elic  # noqa: E402
from eyechart.codecs.learned.tic import Tic  # noqa: E402
from eyechart.core.errors import CodecError  # noqa: E402


def _encode(network: Elic, pictures: Tensor) -> tuple[list[bytes], Tensor, tuple[int, int]]:
    entropy = copy.deepcopy(network).double()
    encoder = LatentEncoder(
        len(pictures), bottleneck_tables(network.entropy_bottleneck), codec="elic-mini"
    )
    with torch.no_grad():
        y = network.g_a(pictures)
        size = (y.shape[2], y.shape[3])
        y_hat = entropy.code_latent(encoder, y, network.h_a(y), size)
    return encoder.finish(), y_hat, size


def _decode(network: Elic, strings: list[bytes], size: tuple[int, int]) -> Tensor:
    entropy = copy.deepcopy(network).double()
    decoder = LatentDecoder(
        strings, bottleneck_tables(network.entropy_bottleneck), codec="elic-mini"
    )
    with torch.no_grad():
        y_hat: Tensor = entropy.code_latent(decoder, None, None, size)
    decoder.finish()
    return y_hat


@pytest.mark.parametrize(("height", "width"), [(16, 16), (48, 80), (64, 64), (80, 16)])
def test_the_decoder_gets_the_encoders_latent(network: Elic, height: int, width: int) -> None:
    pictures = torch.rand(2, 3, height, width)
    strings, y_hat, size = _encode(network, pictures)
    assert torch.equal(_decode(network, strings, size), y_hat)
    assert y_hat.abs().max() > 1  # the latent holds something


def test_strings_do_not_depend_on_the_batch(network: Elic) -> None:
    torch.manual_seed(2)
    pictures = torch.rand(3, 3, 64, 48)
    together = _encode(network, pictures)[0]
    alone = [_encode(network, picture[None])[0][0] for picture in pictures]
    assert together == alone


def test_bytes_are_as_many_as_the_likelihoods_say(network: Elic) -> None:
    torch.manual_seed(3)
    picture = torch.rand(1, 3, 256, 256)
    (string,), _, _ = _encode(network, picture)
    with torch.no_grad():
        _, likelihoods = network(picture)
    estimate = sum(-part.log2().sum().item() for part in likelihoods.values()) / 8
    assert len(string) == pytest.approx(estimate, rel=0.01, abs=8)


@pytest.mark.parametrize(("noise", "most_refused"), [(1e-6, 32), (1e-12, 0)])
def test_parameters_that_another_machine_computes_never_give_a_wrong_latent(
    network: Elic, noise: float, most_refused: int
) -> None:
    """Entropy networks run in float64: another machine's errors are below the second noise."""
    torch.manual_seed(4)
    strings, y_hat, size = _encode(network, torch.rand(4, 3, 64, 64))
    refused = 0
    for seed in range(8):
        other = copy.deepcopy(network).double()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in other.ParamAggregation.parameters():
                random = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.mul_(1 + noise * random)
        for index, string in enumerate(strings):
            try:
                found = _decode(other, [string], size)
            except CodecError:
                refused += 1
                continue
            assert torch.equal(found[0], y_hat[index])
    assert refused <= most_refused


def test_a_damaged_string_is_refused(network: Elic) -> None:
    (string,), _, size = _encode(network, torch.rand(1, 3, 64, 64))
    for at in range(0, len(string) - 4, 7):
        damaged = bytearray(string)
        damaged[at] ^= 0x10
        with pytest.raises(CodecError, match="damaged"):
            _decode(network, [bytes(damaged)], size)
    with pytest.raises(CodecError, match="damaged"):
        _decode(network, [string[: len(string) // 2]], size)
    with pytest.raises(CodecError, match="damaged"):
        _decode(network, [b""], size)


def test_weights_that_are_not_finite_are_refused(network: Elic) -> None:
    broken = copy.deepcopy(network)
    with torch.no_grad():
        broken.g_a[0].weight.fill_(float("nan"))
    with pytest.raises(CodecError, match="not finite"):
        _encode(broken, torch.rand(1, 3, 32, 32))


def test_full_size_has_the_parameters_of_the_published_network() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Elic().parameters()) == 33_792_771
        assert sum(parameter.numel() for parameter in Tic().parameters()) == 10_227_299


def test_a_codebook_takes_the_bits_of_its_indices_and_gives_the_nearest_entries() -> None:
    torch.manual_seed(0)
    entries, z = torch.randn(256, 6).double(), torch.randn(1, 6, 20, 50)
    encoder = LatentEncoder(1, None, codec="any")
    encoded = encoder.codebook(z, entries, (20, 50))
    distances = torch.cdist(z[0].flatten(1).T.double(), entries)
    assert torch.equal(encoded[0].flatten(1).T, entries[distances.argmin(1)])
    strings = encoder.finish()
    decoder = LatentDecoder(strings, None, codec="any")
    assert torch.equal(decoder.codebook(None, entries, (20, 50)), encoded)
    decoder.finish()
    assert abs(len(strings[0]) - 1000) <= 2 + 8  # 8 bits each, a checksum, the coder's last words
