"""The samplers against a transcription of the papers' equations, the noise, and blended tiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from torch import Tensor  # noqa: E402

from eyechart.codecs.generative.diffusion.sampler import (  # noqa: E402
    check_steps,
    clean,
    denoise,
    generator_of,
    noise_of,
    noised,
    relayed,
    spaced_steps,
)
from eyechart.codecs.generative.diffusion.tiles import (  # noqa: E402
    check_tile,
    enough_memory,
    in_blended_tiles,
)
from eyechart.core.errors import CodecError, InputError  # noqa: E402

# Cumulative products of alpha in Stable Diffusion.
ABAR = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def eps(x: npt.NDArray[np.float64], step: int) -> npt.NDArray[np.float64]:
    """Some prediction that depends on the latent and on the step."""
    return np.tanh(x + step / 500) + 0.1 * np.roll(x, 1, -1)


def predict(x: Tensor, step: int) -> Tensor:
    return torch.from_numpy(eps(x.double().numpy(), step)).float()


def noises(payload: bytes, shape: tuple[int, ...], count: int) -> list[npt.NDArray[np.float64]]:
    generator = generator_of(payload)
    return [torch.randn(shape, generator=generator).double().numpy() for _ in range(count)]


def transcribed(
    x: npt.NDArray[np.float64], steps: list[int], noise: list[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Ho et al., arXiv 2006.11239, equations 6, 7 and 15, between steps that are far apart."""
    for place, step in enumerate(steps):
        last = place == len(steps) - 1
        abar, before = ABAR[step], 1.0 if last else ABAR[steps[place + 1]]
        beta = 1 - abar / before
        start = (x - np.sqrt(1 - abar) * eps(x, step)) / np.sqrt(abar)
        mean = np.sqrt(before) * beta / (1 - abar) * start
        mean += np.sqrt(1 - beta) * (1 - before) / (1 - abar) * x
        x = mean if last else mean + np.sqrt((1 - before) / (1 - abar) * beta) * noise[place]
    return x


@pytest.mark.parametrize(("count", "within"), [(50, 1000), (2, 300), (5, 300), (300, 300)])
def test_steps_are_at_equal_distances_and_end_at_zero(count: int, within: int) -> None:
    steps = spaced_steps(count, within)
    assert steps == sorted(set(steps), reverse=True)
    assert (len(steps), steps[0], steps[-1]) == (count, within - 1, 0)
    assert max(abs(np.diff(steps) + (within - 1) / (count - 1))) <= 1


def test_the_published_relay_steps() -> None:
    assert spaced_steps(2, 300) == [299, 0]
    assert spaced_steps(5, 300) == [299, 224, 150, 75, 0]


def test_fifty_spaced_steps_follow_the_equations() -> None:
    shape = (1, 4, 8, 8)
    steps = spaced_steps(50)
    start, *noise = noises(b"payload", shape, 50)
    generator = generator_of(b"payload")
    x = torch.randn(shape, generator=generator)
    found = denoise(predict, x, steps, generator).numpy()
    assert np.allclose(found, transcribed(start, steps, noise), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("count", [2, 5])
def test_relay_steps_follow_the_equations(count: int) -> None:
    """RDEIC, arXiv 2410.02640: x_N from the residual diffusion, whatever the clean latent is."""
    shape = (1, 4, 8, 8)
    steps = spaced_steps(count, 300)
    first, *noise = noises(b"relay", shape, count)
    condition, image = np.random.default_rng(0).normal(size=(2, *shape))
    abar = ABAR[299]
    residual = (condition - image) * np.sqrt(abar) / np.sqrt(1 - abar)
    start = np.sqrt(abar) * image + np.sqrt(1 - abar) * (first + residual)

    generator = generator_of(b"relay")
    noise_ = torch.randn(shape, generator=generator)
    x = noised(torch.from_numpy(condition).float(), 299, noise_)
    assert np.allclose(x.numpy(), start, atol=1e-5)
    found = denoise(predict, x, steps, generator).numpy()
    assert np.allclose(found, transcribed(start, steps, noise), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("count", "within"), [(50, 1000), (2, 300), (5, 300)])
def test_steps_are_those_of_diffusers(count: int, within: int) -> None:
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    steps = spaced_steps(count, within)
    scheduler.set_timesteps(timesteps=steps)
    x = wanted = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    for step in steps:
        predicted = predict(wanted, step)
        wanted = scheduler.step(predicted, step, wanted, generator=generator).prev_sample
    found = denoise(predict, x, steps, torch.Generator().manual_seed(2))
    assert torch.allclose(found, wanted, atol=1e-3, rtol=1e-3)


def test_the_relay_goes_from_the_clean_to_the_decoded_latent() -> None:
    """RDEIC, arXiv 2410.02640: x_t = sqrt(abar) x + sqrt(1 - abar) (noise + (c - x) / lambda)."""
    x, c, noise = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    ratio = np.sqrt(ABAR[299] / (1 - ABAR[299]))
    for step in (0, 150, 299):
        noisy, predicted = relayed(x, c, noise, step, 299)
        assert torch.allclose(predicted, noise + float(ratio) * (c - x), atol=1e-5)
        assert torch.allclose(clean(noisy, predicted, step), x, atol=1e-3)
        assert torch.allclose(noise_of(noisy, x, step), predicted, atol=1e-2, rtol=1e-2)
    assert torch.allclose(noisy, noised(c, 299, noise), atol=1e-5)


def test_one_step_takes_all_noise_away() -> None:
    image, noise = torch.randn(2, 1, 4, 8, 8)
    assert torch.allclose(clean(noised(image, 999, noise), noise, 999), image, atol=1e-4)


def test_the_noise_follows_from_the_payload() -> None:
    def noise(payload: bytes) -> Tensor:
        return torch.randn(100, generator=generator_of(payload))

    assert torch.equal(noise(b"one"), noise(b"one"))
    assert not torch.equal(noise(b"one"), noise(b"two"))


@pytest.mark.parametrize("steps", [0, 1, 301, -2, 2.0, True])
def test_a_step_count_outside_the_schedule_is_one_line(steps: int) -> None:
    with pytest.raises(InputError, match=r"rdeic: steps is .*; allowed are 2 to 300"):
        check_steps(steps, 300, codec="rdeic")


@pytest.mark.parametrize("tile", [0, 8, 20, 96.0, True])
def test_a_tile_of_a_size_that_is_not_allowed_is_one_line(tile: int) -> None:
    with pytest.raises(InputError, match=r"tile is .*; allowed are multiples of 8 from 16"):
        check_tile(tile, codec="diffeic")


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (16, 72), (8, 64)])
def test_tiles_cover_every_element_of_a_large_latent(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def pointwise(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[2:]))
        return 3 * part[:, :2] + 1

    x = torch.randn(1, 4, *size)
    found = in_blended_tiles(pointwise, x, tile=16, codec="any")
    assert torch.allclose(found, 3 * x[:, :2] + 1, atol=1e-5)
    assert all(height * width <= 16 * 16 for height, width in seen)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("out of memory")],
)
def test_no_memory_for_a_tile_is_one_line(error: Exception) -> None:
    def fails(part: Tensor) -> Tensor:
        raise error

    with pytest.raises(CodecError, match=r"no memory for a tile of 16x16 latent .*option tile"):
        in_blended_tiles(fails, torch.zeros(1, 4, 32, 32), tile=16, codec="any")


def test_a_codec_without_tiles_is_not_told_of_them() -> None:
    with (
        pytest.raises(CodecError, match=r"no memory for it; allowed are half precision \(prec"),
        enough_memory("it", codec="rdeic-mini", tiles=False),
    ):
        raise MemoryError


def test_other_errors_of_a_tile_stay_what_they_are() -> None:
    def fails(part: Tensor) -> Tensor:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        in_blended_tiles(fails, torch.zeros(1, 4, 8, 8), tile=16, codec="any")
