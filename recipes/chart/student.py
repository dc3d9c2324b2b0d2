"""The VLM in training: its forward pass, the probe, the losses and the optimizers.

A second loss trains each visual token to predict the names of the things at its place, as word
embeddings of the language model. With the loss of the answers alone a model this small hardly
learns to use the image. With a separate classifier in place of the word embeddings the vision tower
learns, and the language model is slow to use its features.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.chart.attention import OwnQuestions, WholeRows, layout_of
from recipes.chart.forward import ChartForward
from recipes.chart.packing import Packer
from recipes.chart.targets import SYMBOLS, TARGET_NAMES

POSITIVE_WEIGHT = 4.0  # a token shows few things, so positives of rare targets count more
# `start_matching`: the scale at a width of 256; see there.
MATCHED_LAYERS, MATCH_SCALE, MATCH_WIDTH = 2, 1.4, 256


class ChartStudent(nn.Module):
    """The VLM's forward pass, and a classifier (probe) of its visual tokens.

    A token's logit for a name is its product with the name's word embedding (with and without a
    leading space), so the vision tower learns features that the language model can use. Letters in
    the right half of a token have the word embedding after a learned linear map, so that the order
    of two letters is known.
    """

    name_ids: Tensor
    letter_at: Tensor

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.network = ChartForward(model)
        self.first = Packer(tokenizer).first
        ids = [
            [tokenizer(text, add_special_tokens=False)["input_ids"][-1] for text in (n, f" {n}")]
            for n in TARGET_NAMES
        ]
        self.register_buffer("name_ids", torch.tensor(ids), persistent=False)
        letters = [TARGET_NAMES.index(letter) for letter in SYMBOLS]
        self.register_buffer("letter_at", torch.tensor(letters), persistent=False)
        width = model.config.text_config.hidden_size
        generator = torch.Generator().manual_seed(0)
        turn = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
        self.probe = nn.ParameterDict(
            {
                "scale": torch.tensor(1.0),
                "bias": torch.full((len(TARGET_NAMES),), -3.0),
                "right_bias": torch.full((len(SYMBOLS),), -3.0),
                "right_turn": turn.contiguous(),
            }
        )

    def forward(
        self, image: Tensor, ids: Tensor, position: Tensor, layout: WholeRows | OwnQuestions
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states (T, D) of the layout's tokens; probe logits (B, 64, names) and, of letters,
        (B, 64, letters)."""
        visual_BND = self.network.encode_images(image)
        hidden_TD = self.network.hidden_states(ids, visual_BND, self.first, position, layout)
        words_TD = self.network.language.embed_tokens(self.name_ids).sum(1)
        right_TD = words_TD[self.letter_at] @ self.probe["right_turn"]
        scale = self.probe["scale"]
        shown = scale * F.linear(visual_BND, words_TD) + self.probe["bias"]
        right = scale * F.linear(visual_BND, right_TD) + self.probe["right_bias"]
        return hidden_TD, shown, right


def losses(
    student: ChartStudent, forward: Any, batch: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """(answer loss, probe loss, hits (Q,): whether every token of an answer is predicted).

    batch: as `curriculum.Batches` gives it, as tensors on the student's device. Nothing here waits
    for the device.
    """
    device = batch["image"].device.type
    layout = layout_of(batch["block"])
    target = batch["target"].long()
    with torch.autocast(device, dtype=torch.bfloat16):
        position = batch["position"].transpose(0, 1).long()
        hidden, shown, right = forward(batch["image"], batch["ids"].long(), position, layout)
        logits = student.network.head(hidden[layout.index_of(batch["at"].long())]).float()
    token_loss = F.cross_entropy(logits, target, reduction="none")
    weight = batch["weight"]
    answer_loss = (token_loss * weight).sum() / weight.sum()
    probe_loss = _probe_loss(shown, batch["shown"]) + _probe_loss(right, batch["right"])
    wrong = (logits.argmax(-1) != target).float()
    count = torch.zeros(len(batch["kinds"]), device=wrong.device)
    hits = count.index_add(0, batch["question"].long(), wrong) == 0
    return answer_loss, probe_loss, hits


def _probe_loss(logits: Tensor, targets: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(
        logits.float(),
        targets.float(),
        pos_weight=torch.full((), POSITIVE_WEIGHT, device=logits.device),
        reduction="none",
    )
    return loss.sum(-1).mean()


def optimizers(student: ChartStudent, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for embeddings, norms, biases and the probe."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in student.named_parameters():
        inside = ".blocks." in name or ".layers." in name or ".merger.mlp" in name
        (matrices if parameter.ndim == 2 and inside else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.1, momentum=0.95),
        torch.optim.AdamW(others, lr=lr / 5, betas=(0.9, 0.98), weight_decay=0.0),
    ]


@torch.no_grad()
def start_matching(student: ChartStudent) -> None:
    """Initialise some heads of the first layers so that a word attends to tokens that show it.

    To answer whether a thing is in the image, a word must be compared with the visual tokens, which
    random attention learns very slowly. Query and key of these heads become the same projection to
    the subspace of the names' embeddings, so that their product is the similarity of word and token
    (as the mimetic initialisation of Trockman and Kolter, 2023). Only rotary dimensions of low
    frequency are used, so that the similarity does not depend on the distance.

    Three heads of eight are used, as a share of each size's heads. A normalised hidden state of
    width D has length sqrt(D), so the scale falls with the width and the similarities stay equal.
    """
    language = student.network.language
    names_TD = language.embed_tokens(student.name_ids).sum(1)
    axes = torch.linalg.svd(names_TD - names_TD.mean(0), full_matrices=False).Vh
    first = language.layers[0].self_attn
    width = names_TD.shape[1]
    heads = max(1, round(3 / 8 * width / first.head_dim))
    scale = MATCH_SCALE * (MATCH_WIDTH / width) ** 0.5
    half = first.head_dim // 2
    slow = [d + h for d in range(half - 1, 5, -1) for h in (0, half)]  # slowest pair first
    for layer in language.layers[:MATCHED_LAYERS]:
        attn = layer.self_attn
        for head in range(heads):
            rows = slice(head * first.head_dim, (head + 1) * first.head_dim)
            matrix = torch.zeros(first.head_dim, width, device=axes.device)
            matrix[slow] = scale * axes[head * len(slow) : (head + 1) * len(slow)]
            for projection in (attn.q_proj, attn.k_proj):
                projection.weight[rows] = matrix
                projection.bias[rows] = 0
