"""What StableCodec's training minimises (Zhang et al., arXiv 2506.21977, and its published code).

    rate + lambda * 255^2 * (MSE + (d_P + 0.1 d_CLIP + 0.1 adversarial loss) / 8)

d_P is the perceptual distance of GAN training, where the paper has LPIPS with VGG; d_CLIP the
distance of two images in CLIP's space. The weights are those of the published code, whose loss has
2 MSE of images in -1..1, that is 8 MSE here. Its lambda weighs the rate: lambda here is 8 / 255^2
over it.

The adversarial loss belongs to stage `finetune` alone. Its discriminator judges the features of a
frozen DINOv2, as in vision-aided GAN training (Kumari et al., arXiv 2112.09130):

    images -> augmentation -> DINOv2 -> block 5  -> conv -> conv -> logits
                                        block 9  -> conv -> conv -> logits
                                        block 12 -> linear -> linear -> logit
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from eyechart.codecs.generative.adversarial_loss import AdversarialLoss
from eyechart.codecs.generative.diffusion.feature_models import ClipEmbedding, DinoFeatures
from eyechart.codecs.generative.gan import placed
from eyechart.codecs.learned.objective import Objective
from eyechart.codecs.learned.train import TrainConfig
from eyechart.zoo.efficientnet_lite0 import LiteFeatures, read_weights

_UNIT = 255**2 / 8
_PERCEPTUAL, _CLIP, _ADVERSARIAL = _UNIT, 0.1 * _UNIT, 0.1 * _UNIT
_SPEED = 0.4  # learning rate of the discriminator, as a multiple of the codec's
_LABEL = 0.8  # of uncompressed images
_WIDTH, _SLOPE = 128, 0.2
_SHIFT = 8  # images are shifted by up to an eighth of their sides


class StableCodecObjective:
    """The loss, and the discriminator where there is a DINOv2."""

    def __init__(
        self,
        config: TrainConfig,
        features: LiteFeatures,
        clip: ClipEmbedding,
        dino: DinoFeatures | None,
        device: torch.device,
    ) -> None:
        self._lmbda, self._features, self._clip = config.lmbda, placed(features, device), clip
        self._adversarial_loss: AdversarialLoss | None = None
        if dino is not None:
            discriminator = placed(DinoDiscriminator(dino), device)
            self._adversarial_loss = AdversarialLoss(
                discriminator, config, speed=_SPEED, label=_LABEL
            )

    def loss(self, x_hat: Tensor, x: Tensor, bpp: Tensor) -> Tensor:
        distance = 255**2 * (x_hat - x).square().mean()
        distance = distance + _PERCEPTUAL * self._features.distance(x_hat, x)
        distance = distance + _CLIP * self._clip.distance(x_hat, x)
        if self._adversarial_loss is not None:
            distance = distance + _ADVERSARIAL * self._adversarial_loss.codec_loss(x_hat, x)
        return self._lmbda * distance + bpp

    def train_own(self, lr: float) -> None:
        if self._adversarial_loss is not None:
            self._adversarial_loss.train(lr)

    def state(self) -> dict[str, Tensor]:
        return {} if self._adversarial_loss is None else self._adversarial_loss.state()


class DinoDiscriminator(nn.Module):
    """Tells uncompressed images (batch, 3, height, width) in 0..1 from decoded ones.

    `forward` gives logits of three levels. The weights of DINOv2 are no part of the state.
    """

    def __init__(self, features: DinoFeatures) -> None:
        super().__init__()
        self._features = features
        self.maps = nn.ModuleList(
            nn.Sequential(
                _Blur(2),
                spectral_norm(nn.Conv2d(features.width, _WIDTH, 3, stride=2)),
                nn.LeakyReLU(_SLOPE),
                _Blur(1),
                spectral_norm(nn.Conv2d(_WIDTH, 1, 1, stride=2)),
            )
            for _ in range(2)
        )
        self.summary = nn.Sequential(
            spectral_norm(nn.Linear(features.width, _WIDTH)),
            nn.LeakyReLU(_SLOPE),
            spectral_norm(nn.Linear(_WIDTH, 1)),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        first, second, last = self._features(augmented(images))
        found: list[Tensor] = [
            head(one) for head, one in zip(self.maps, (first, second), strict=True)
        ]
        return [*found, self.summary(last)]


class _Blur(nn.Module):
    """A binomial filter of four elements a side (Zhang, arXiv 1904.11486). before: zeros added."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self._margins = (before, before + 1, before, before + 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self._margins)
        for _ in range(3):
            x = F.avg_pool2d(x, 2, stride=1)
        return x


def augmented(x: Tensor) -> Tensor:
    """Images with random colours, a random shift and a random grey rectangle.

    That of differentiable augmentation (Zhao et al., arXiv 2006.10738), so that the discriminator
    does not learn the training images by heart. x: (batch, 3, height, width) in 0..1.
    """
    count, _, height, width = x.shape

    def drawn() -> Tensor:
        return torch.rand(count, 1, 1, 1, device=x.device)

    def place(least: int, most: int) -> Tensor:
        return torch.randint(least, most + 1, (count, 1, 1, 1), device=x.device)

    x = 2 * x - 1
    x = x + drawn() - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * drawn() * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (0.5 + drawn()) * (x - mean)
    most_down, most_across = height // _SHIFT, width // _SHIFT
    down, across = place(0, 2 * most_down).flatten(), place(0, 2 * most_across).flatten()
    wide = F.pad(x, (most_across, most_across, most_down, most_down))
    x = torch.stack(
        [
            one[:, top : top + height, left : left + width]
            for one, top, left in zip(wide, down.tolist(), across.tolist(), strict=True)
        ]
    )
    rows = torch.arange(height, device=x.device)[:, None] - place(0, height)
    columns = torch.arange(width, device=x.device)[None, :] - place(0, width)
    hidden = (4 * rows.abs() < height) & (4 * columns.abs() < width)
    found: Tensor = (x * ~hidden + 1) / 2
    return found


def stablecodec_objective(network: nn.Module, config: TrainConfig) -> Objective:
    """The objective with CLIP, and with DINOv2 in stage `finetune`, of the places in `config`.

    Raises:
        InputError, PluginError, CodecError: a package or a model is missing, or is another one.
    """
    device = next(network.parameters()).device
    dino = DinoFeatures(config.dino_model, device) if config.stage == "finetune" else None
    clip = ClipEmbedding(config.clip_model, device)
    return StableCodecObjective(config, LiteFeatures(read_weights()), clip, dino, device)
