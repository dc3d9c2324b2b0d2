"""Seconds and memory of the full-size diffusion codecs on a GPU, with random weights.

    python -m benchmarks.diffusion_codec_speed [--device cuda] [--codec rdeic ...]

Stable Diffusion 2.1's UNet and VAE get random weights, so nothing is downloaded; what the images
look like has no meaning. Each codec encodes and decodes one image of each size through a real
bitstream, with its own number of denoising steps. On a GPU, what is measured was warmed up with one
call of the same image size, and memory is the GPU's. On a CPU times are CPU seconds, and memory is
not measured.
"""

from __future__ import annotations

import argparse
from typing import Any, get_args

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from benchmarks.codec_speed_gpu import LEVEL, timed
from eyechart.codecs.generative.diffusion.base import BaseModel
from eyechart.codecs.generative.diffusion.codec import DiffusionArchitecture, LoadedDiffusion
from eyechart.codecs.generative.diffusion.lora import first_lora
from eyechart.codecs.generative.diffusion.networks import StableCodecNetwork
from eyechart.codecs.generative.diffusion.pipelines import UNET_LORA, VAE_LORA, Settings
from eyechart.codecs.generative.diffusion.plugins import DIFFEIC, RDEIC, STABLECODEC
from eyechart.codecs.learned.neural import DTYPES, Precision
from eyechart.testing.codecs import sample_image

CODECS = {one.weights.name: one for one in (DIFFEIC, RDEIC, STABLECODEC)}
SIZES: tuple[tuple[int, int], ...] = ((512, 512), (768, 512), (1536, 1024))
PROMPT_TOKENS, PROMPT_WIDTH = 77, 1024
UNET_RANK, VAE_RANK = 32, 16  # of StableCodec's LoRA


def random_base() -> BaseModel:
    """Stable Diffusion 2.1's UNet (866 M parameters) and VAE (84 M) with random weights."""
    unet = UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=64,
        attention_head_dim=(5, 10, 20, 20),
        cross_attention_dim=PROMPT_WIDTH,
        use_linear_projection=True,
    )
    vae = AutoencoderKL(  # type: ignore[no-untyped-call]
        block_out_channels=(128, 256, 512, 512),
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    prompt = torch.randn(1, PROMPT_TOKENS, PROMPT_WIDTH)
    return BaseModel(unet=unet, vae=vae, prompt=prompt, scaling=0.18215)


def random_network(diffusion: DiffusionArchitecture, base: BaseModel) -> nn.Module:
    """What a level's file holds. LoRA starts as in training, and changes nothing."""
    if diffusion is not STABLECODEC:
        return diffusion.weights.build().eval()
    tensors: dict[str, torch.Tensor] = {}
    for part, model, targets, rank in (
        ("unet", base.unet, UNET_LORA, UNET_RANK),
        ("vae", base.vae, VAE_LORA, VAE_RANK),
    ):
        with torch.device("meta"):
            same: Any = type(model).from_config(model.config)
        found = first_lora(same, targets, rank)
        tensors |= {f"lora.{part}.{key}": value for key, value in found.items()}
    before = base.unet.conv_in
    channels = StableCodecNetwork({}).codec.shape.latent
    tensors["lora.unet.conv_in.weight"] = torch.zeros(before.out_channels, channels, 3, 3)
    tensors["lora.unet.conv_in.bias"] = before.bias.detach()
    return StableCodecNetwork(tensors).eval()


def measure(loaded: LoadedDiffusion, size: tuple[int, int], device: str) -> str:
    """Seconds of encoding and decoding and peak memory, as cells of a table."""
    width, height = size
    image = sample_image(height, width, np.random.default_rng(1))
    cuda = device.startswith("cuda")
    if cuda:
        loaded.decode(loaded.encode([image]))
        torch.cuda.reset_peak_memory_stats(device)
    bitstreams, encode_s = timed(lambda: loaded.encode([image]), device)
    _, decode_s = timed(lambda: loaded.decode(bitstreams), device)
    peak = f"{torch.cuda.max_memory_allocated(device) / 1e9:.1f}" if cuda else "-"
    return f"{encode_s:.2f} | {decode_s:.2f} | {peak}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--codec", action="append", choices=CODECS)
    parser.add_argument("--precision", action="append", choices=get_args(Precision))
    parser.add_argument("--size", metavar="WxH", help="one image of this size only")
    given = parser.parse_args()
    sizes = SIZES
    if given.size:
        width, _, height = given.size.partition("x")
        sizes = ((int(width), int(height)),)
    device = torch.device(given.device)
    about = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{about}, torch {torch.__version__}")
    print("| codec | precision | image | encode, s | decode, s | memory, GB |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    torch.manual_seed(0)
    for name in given.codec or CODECS:
        diffusion = CODECS[name]
        for precision in given.precision or ["float32", "float16"]:
            with device:
                base = random_base()
            settings = Settings(
                codec=name,
                device=device,
                dtype=DTYPES[precision],
                steps=diffusion.steps,
                tile=diffusion.tile,
            )
            pipeline = diffusion.pipeline(random_network(diffusion, base), base, settings)
            loaded = LoadedDiffusion(pipeline, diffusion.weights, LEVEL, device)
            for size in sizes:
                cells = measure(loaded, size, given.device)
                print(f"| {name} | {precision} | {size[0]}x{size[1]} | {cells} |", flush=True)
            loaded.close()
            del base, pipeline, loaded
            if device.type == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
