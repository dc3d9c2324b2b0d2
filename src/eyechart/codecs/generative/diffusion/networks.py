"""What a level's file holds: the latent codec with the networks that were trained with it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from eyechart.codecs.generative.diffusion.control import ControlModule, ControlShape
from eyechart.codecs.generative.diffusion.diffeic import DiffEicLatentCodec, DiffEicShape
from eyechart.codecs.generative.diffusion.lora import module_of
from eyechart.codecs.generative.diffusion.rdeic import RdeicLatentCodec, RdeicShape
from eyechart.codecs.generative.diffusion.stablecodec import StableCodecShape, StableLatentCodec
from eyechart.codecs.learned.elic import ElicShape, analysis

_LORA = "lora."
# Of the published checkpoints.
_DIFFEIC, _RDEIC, _STABLECODEC = DiffEicShape(), RdeicShape(), StableCodecShape()
_CONTROL, _ESTIMATOR = ControlShape(hint=_DIFFEIC.reference), ControlShape(hint=_RDEIC.latent)
_ELIC = ElicShape()


class DiffEicNetwork(nn.Module):
    """codec: the latent codec. control: the control module."""

    def __init__(
        self,
        shape: DiffEicShape = _DIFFEIC,
        control: ControlShape = _CONTROL,
    ) -> None:
        super().__init__()
        self.codec, self.control = DiffEicLatentCodec(shape), ControlModule(control)


class RdeicNetwork(nn.Module):
    """codec: the latent codec. control: the noise estimator."""

    def __init__(
        self,
        shape: RdeicShape = _RDEIC,
        control: ControlShape = _ESTIMATOR,
    ) -> None:
        super().__init__()
        self.codec, self.control = RdeicLatentCodec(shape), ControlModule(control)


class StableCodecNetwork(nn.Module):
    """codec: the latent codec. auxiliary: ELIC's analysis. lora: `unet` and `vae`, LoRA weights
    under their published names, and the UNet's first layer as `unet.conv_in`.

    tensors: of a file, from which the keys and shapes of `lora` are taken.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        shape: StableCodecShape = _STABLECODEC,
        auxiliary: ElicShape = _ELIC,
    ) -> None:
        super().__init__()
        self.codec, self.auxiliary = StableLatentCodec(shape), analysis(auxiliary)
        self.lora = module_of(
            {key.removeprefix(_LORA): tensors[key] for key in tensors if key.startswith(_LORA)}
        )

    def lora_of(self, part: str) -> dict[str, Tensor]:
        """The tensors of `unet` or `vae`."""
        state = self.lora.state_dict()
        prefix = f"{part}."
        return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
