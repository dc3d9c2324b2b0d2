"""Small diffusion codecs: the networks of the real ones, for the tiny base model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.codec import DiffusionArchitecture, DiffusionCodec
from eyechart.codecs.generative.diffusion.control import ControlModule, ControlShape
from eyechart.codecs.generative.diffusion.diffeic import DiffEicShape
from eyechart.codecs.generative.diffusion.networks import (
    DiffEicNetwork,
    RdeicNetwork,
    StableCodecNetwork,
)
from eyechart.codecs.generative.diffusion.pipelines import UNET_LORA, VAE_LORA
from eyechart.codecs.generative.diffusion.plugins import DIFFEIC, RDEIC, STABLECODEC
from eyechart.codecs.generative.diffusion.rdeic import RdeicShape
from eyechart.codecs.generative.diffusion.stablecodec import StableCodecShape
from eyechart.codecs.generative.diffusion.training import (
    stages_of_diffeic,
    stages_of_rdeic,
    stages_of_stablecodec,
)
from eyechart.codecs.learned.elic import ElicShape
from eyechart.codecs.learned.neural import Precision
from eyechart.codecs.learned.weights import write_level
from tests.codecs.generative.tiny_diffusion import TEXT, TINY, WIDTHS

DIFFEIC_SHAPE = DiffEicShape(widths=(4, 4, 8, 8), hyper=8, slices=(4, 4, 8), features=4, blocks=1)
RDEIC_SHAPE = RdeicShape(inputs=8, hyper=8, slices=(4, 4, 8), entries=64, blocks=1)
STABLE_SHAPE = StableCodecShape(latent=16, first=(8, 8), widths=(16, 16), aux=(16, 8), auxiliary=12)
AUXILIARY = ElicShape(widths=(8, 8, 8), blocks=(1, 1, 1), slices=(4, 8), attention=False)


def control(hint: int) -> ControlShape:
    return ControlShape(hint=hint, base=WIDTHS, widths=(4, 4, 8, 8), text=TEXT, head=2, groups=2)


def small_diffeic() -> DiffEicNetwork:
    return DiffEicNetwork(DIFFEIC_SHAPE, control(4))


def small_rdeic() -> RdeicNetwork:
    return RdeicNetwork(RDEIC_SHAPE, control(RDEIC_SHAPE.latent))


def small_stablecodec(tensors: Mapping[str, Tensor]) -> StableCodecNetwork:
    return StableCodecNetwork(tensors, STABLE_SHAPE, AUXILIARY)


def shrunk(architecture: DiffusionArchitecture) -> DiffusionArchitecture:
    """The architecture with a small network for the tiny base model."""
    name = architecture.weights.name
    networks = {
        "diffeic": small_diffeic,
        "rdeic": small_rdeic,
        "stablecodec": lambda: small_stablecodec({}),
    }
    stages = {
        "diffeic": stages_of_diffeic(TINY),
        "rdeic": stages_of_rdeic(TINY),
        "stablecodec": stages_of_stablecodec(TINY, architecture.prompt),
    }
    weights = replace(
        architecture.weights,
        name=f"small-{name}",
        build=networks[name],
        variant=small_stablecodec if name == "stablecodec" else None,
        stages=stages[name],
    )
    return replace(architecture, weights=weights, base=TINY)


class SmallDiffEic(DiffusionCodec):
    diffusion = shrunk(DIFFEIC)
    architecture = diffusion.weights

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        steps: int = 2,
        tile: int = 16,
    ) -> None:
        super().__init__(
            base=base,
            weights=weights,
            precision=precision,
            steps=steps,
            tile=tile,
        )


class SmallRdeic(DiffusionCodec):
    diffusion = shrunk(RDEIC)
    architecture = diffusion.weights

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        steps: int = 2,
        tile: int = 16,
    ) -> None:
        super().__init__(base=base, weights=weights, precision=precision, steps=steps, tile=tile)


class SmallStableCodec(DiffusionCodec):
    diffusion = shrunk(STABLECODEC)
    architecture = diffusion.weights

    def __init__(
        self,
        *,
        base: str = "",
        weights: str = "",
        precision: Precision = "float32",
        tile: int = 16,
    ) -> None:
        super().__init__(base=base, weights=weights, precision=precision, tile=tile)


def scaled(network: nn.Module, layers: tuple[str, ...], gain: float) -> nn.Module:
    """The network with larger weights in some layers, so that its latent is not rounded away."""
    with torch.no_grad():
        for layer in layers:
            for parameter in network.get_submodule(layer).parameters():
                parameter.mul_(gain)
    return network


def widened(network: nn.Module, scale: float) -> nn.Module:
    """The network with densities of y that are wide enough for a scaled latent."""
    context = network.get_submodule("codec.context")
    for name, parameter in context.named_parameters():
        if name.startswith("entropy_parameters") and name.endswith("4.bias"):
            with torch.no_grad():
                parameter[: len(parameter) // 2].fill_(scale)
    return network


def write_levels(codec: DiffusionCodec, folder: Path, networks: Mapping[str, nn.Module]) -> None:
    for level, network in networks.items():
        write_level(
            folder,
            codec.name,
            name=level,
            lmbda=float(level),
            weights=network.state_dict(),
            knob=codec.architecture.knob,
            rate=codec.architecture.rate,
        )


def write_control(network: nn.Module, *, size: float) -> None:
    """Set the 1x1 convolutions of a control module, which start at zero."""
    control_module = network.get_submodule("control")
    assert isinstance(control_module, ControlModule)
    with torch.no_grad():
        for name, parameter in control_module.named_parameters():
            if "convs_out" in name or "block_out" in name:
                parameter.normal_(0, size)


def lora_of(base: Path) -> dict[str, Tensor]:
    """LoRA weights, of rank 4, for a base model, and a first layer for its UNet."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(2)
    found = {
        "lora.unet.conv_in.weight": 0.1 * torch.randn(WIDTHS[0], STABLE_SHAPE.latent, 3, 3),
        "lora.unet.conv_in.bias": torch.zeros(WIDTHS[0]),
    }
    parts = {"unet": (UNet2DConditionModel, UNET_LORA), "vae": (AutoencoderKL, VAE_LORA)}
    for part, (model_class, targets) in parts.items():
        model = model_class.from_pretrained(str(base / part))
        inject_adapter_in_model(LoraConfig(r=4, target_modules=targets), model)
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                key = f"lora.{part}.{name.replace('.default.', '.')}"
                found[key] = 0.3 * torch.randn_like(parameter)
    return found
