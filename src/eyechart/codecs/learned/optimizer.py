"""Muon for convolution kernels and Adam for everything else.

Muon (K. Jordan and others, https://kellerjordan.github.io/posts/muon/) makes the momentum of a
matrix orthogonal before it is applied. A kernel is the matrix of its first axis against the others.
Updates are scaled to the size that Adam's have (arXiv 2502.16982, section 2.2), so that one
learning rate serves both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_ADAM_BETAS, _ADAM_EPSILON = (0.9, 0.999), 1e-8
_MOMENTUM = 0.95
_NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 4
_ADAM_SIZE = 0.2  # root mean square of Adam's updates, in learning rates


class MuonAdam:
    """An optimizer over parameters; `lr` is set from outside before each step.

    state: per parameter its momenta, as tensors by name, for saving and resuming.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, muon: bool = True) -> None:
        self._parameters = list(parameters)
        self._muon = muon
        self.lr = 0.0
        self.steps = 0
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}
        for parameter in self._parameters:
            names = ("momentum",) if self._by_muon(parameter) else ("exp_avg", "exp_avg_sq")
            self.state[parameter] = {name: torch.zeros_like(parameter) for name in names}

    def _by_muon(self, parameter: nn.Parameter) -> bool:
        return self._muon and parameter.ndim == 4

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters from their gradients."""
        self.steps += 1
        adam: list[nn.Parameter] = []
        for parameter in self._parameters:
            if parameter.grad is None:
                continue
            if self._by_muon(parameter):
                parameter.sub_(self._orthogonal(parameter), alpha=self.lr)
            else:
                adam.append(parameter)
        self._adam(adam)

    def _orthogonal(self, parameter: nn.Parameter) -> Tensor:
        assert parameter.grad is not None
        momentum = self.state[parameter]["momentum"]
        momentum.lerp_(parameter.grad, 1 - _MOMENTUM)
        matrix = parameter.grad.lerp(momentum, _MOMENTUM).flatten(1)
        rows, columns = matrix.shape
        update = orthogonalize(matrix) * (_ADAM_SIZE * max(rows, columns) ** 0.5)
        shaped: Tensor = update.reshape(parameter.shape)
        return shaped

    def _adam(self, parameters: list[nn.Parameter]) -> None:
        grads: Any = [parameter.grad for parameter in parameters]
        first = [self.state[parameter]["exp_avg"] for parameter in parameters]
        second = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
        beta1, beta2 = _ADAM_BETAS
        torch._foreach_lerp_(first, grads, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, grads, grads, value=1 - beta2)
        sizes = torch._foreach_div(second, 1 - beta2**self.steps)
        torch._foreach_sqrt_(sizes)
        torch._foreach_add_(sizes, _ADAM_EPSILON)
        rate = -self.lr / (1 - beta1**self.steps)
        torch._foreach_addcdiv_(list[Tensor](parameters), first, sizes, value=rate)


def orthogonalize(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthogonal rows or columns, roughly: singular values near 1."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for a, b, c in _NEWTON_SCHULZ:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.T if tall else x
    return found
