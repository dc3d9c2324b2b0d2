"""A discriminator that is trained beside a codec: the loss of both, its optimizer and its state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.codecs.learned.optimizer import MuonAdam
from eyechart.codecs.learned.parallel import mean_gradients
from eyechart.codecs.learned.train import TrainConfig


class AdversarialLoss:
    """A codec's non-saturating loss (Goodfellow et al., arXiv 1406.2661), and its discriminator.

    network: the discriminator. It takes images (batch, 3, height, width) in 0..1 and its other
        inputs; gives logits, which are positive for uncompressed images, or a list of them from
        several levels, whose losses are added.
    speed: its learning rate, as a multiple of the codec's.
    label: the probability that it learns to give uncompressed images, below 1 for label smoothing.
    """

    def __init__(
        self, network: nn.Module, config: TrainConfig, *, speed: float, label: float = 1.0
    ) -> None:
        self._network, self._config = network, config
        self._speed, self._label = speed, label
        self._optimizer = MuonAdam(network.parameters(), muon=config.muon)
        self._steps = torch.zeros((), dtype=torch.int64)
        self._seen: tuple[Tensor, ...] = ()

    def codec_loss(self, x_hat: Tensor, x: Tensor, *known: Tensor) -> Tensor:
        """The codec's loss, small where the discriminator takes decoded images for uncompressed.

        x_hat, x: decoded and uncompressed images, which `train` uses. known: the discriminator's
        other inputs, the same for both.
        """
        self._seen = (torch.cat([x, x_hat.detach()]), *(torch.cat([one, one]) for one in known))
        self._network.requires_grad_(False)
        found = self._cross_entropy(self._logits(x_hat, *known), self._label)
        self._network.requires_grad_(True)
        return found

    def train(self, lr: float) -> None:
        """One step of the discriminator on the images of the last loss. lr: of the codec."""
        network = self._network
        network.zero_grad(set_to_none=True)
        halves = [level.chunk(2) for level in self._logits(*self._seen)]
        real, decoded = zip(*halves, strict=True)
        loss = self._cross_entropy(real, self._label) + self._cross_entropy(decoded, 0.0)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._config.processes > 1:
            mean_gradients(network.parameters())
        self._optimizer.lr = self._speed * lr
        self._optimizer.steps = int(self._steps)
        self._optimizer.step()
        self._steps += 1

    def state(self) -> dict[str, Tensor]:
        """Weights and optimizer state, as they are (no copies)."""
        found: dict[str, Tensor] = dict(self._network.state_dict(keep_vars=True))
        for name, parameter in self._network.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                found[f"optimizer.{key}.{name}"] = value
        return found | {"steps": self._steps}

    def _logits(self, *inputs: Tensor) -> list[Tensor]:
        found = self._network(*inputs)
        return found if isinstance(found, list) else [found]

    def _cross_entropy(self, logits: Sequence[Tensor], probability: float) -> Tensor:
        """The cross-entropy of logits with a probability that the image is uncompressed."""
        return torch.stack(
            [
                probability * F.softplus(-one).mean() + (1 - probability) * F.softplus(one).mean()
                for one in logits
            ]
        ).sum()
