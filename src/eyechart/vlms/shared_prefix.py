"""Many questions on one image, at little more than the cost of one question.

    row of the batch = one image

    keys:     [ prefix: system text + image tokens | question 1 | question 2 | ... | new tokens ]
    queries:                                         question 1   question 2

The prefix up to the first differing token is computed once for each image. All its questions are
concatenated in ONE row, and a mask lets each question attend only to the prefix and itself. Unlike
repeating the key-value cache for every question, this stores the prefix once and needs no padding
for short questions. Finished answers are left out of the next step's queries.

Rows of different prefix lengths are padded on the right. Under a causal mask no real token attends
to that padding, and later steps mask it. Positions are always explicit, because after the prefix a
token's slot in its row is not its position.

Shape suffixes: B rows (images), N prefix tokens, S question tokens, K key slots, W width, A axes of
the rotary positions (3 for Qwen2.5-VL, else 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

_PREFIX, _UNUSED = 0, -1  # marks of key slots; those of question q of a row have the mark q + 1
_GROWTH_STEPS = 16  # decoding steps the key-value buffers are grown by at a time


class TextModel(Protocol):
    """Common interface of transformers' Qwen2, Llama and Qwen2.5-VL text models."""

    embed_tokens: Callable[[Tensor], Tensor]
    layers: Sequence[Callable[..., Tensor]]
    norm: Callable[[Tensor], Tensor]
    rotary_emb: Callable[[Tensor, Tensor], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow:
    """One image with its questions, as tokens.

    prefix_NW: input embeddings of the shared prefix, image features in place.
    positions_AN: rotary positions of the prefix. next_position: of the first token after it.
    questions: token ids of each question after the prefix, none empty.
    allowed: for each question the ids allowed as the answer's first token; () for free answers.
    """

    prefix_NW: Tensor
    positions_AN: Tensor
    next_position: int
    questions: tuple[tuple[int, ...], ...]
    allowed: tuple[tuple[int, ...], ...] = ()


@dataclass(slots=True, kw_only=True)
class Generated:
    """Token ids of one answer, without the stop token. truncated: the token limit ended it."""

    tokens: list[int] = field(default_factory=list)
    truncated: bool = False


class PackedCache:
    """Keys and values of every layer, written in place into buffers that grow in steps.

    Replaces transformers' cache, of which a layer calls only `update`.
    """

    def __init__(self) -> None:
        self._buffers: dict[int, tuple[Tensor, Tensor]] = {}
        self.start = 0
        self.reserve = 0

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append this step's (B, heads, S, D) to the earlier ones; return all."""
        end = self.start + keys.shape[2]
        held = self._buffers.get(layer_idx)
        if held is None or held[0].shape[2] < end:
            held = (self._grown(held, 0, keys, end), self._grown(held, 1, values, end))
            self._buffers[layer_idx] = held
        for buffer, new in zip(held, (keys, values), strict=True):
            buffer[:, :, self.start : end] = new
        return held[0][:, :, :end], held[1][:, :, :end]

    def _grown(
        self, held: tuple[Tensor, Tensor] | None, which: int, like: Tensor, end: int
    ) -> Tensor:
        batch, heads, _, width = like.shape
        buffer = like.new_empty(batch, heads, end + self.reserve, width)
        if held is not None:
            buffer[:, :, : self.start] = held[which][:, :, : self.start]
        return buffer


@torch.inference_mode()
def decode(
    model: TextModel,
    head: Callable[[Tensor], Tensor],
    rows: Sequence[PromptRow],
    *,
    stop: frozenset[int],
    max_new_tokens: int,
) -> list[list[Generated]]:
    """Greedy answers to every question of every row, in order.

    stop: token ids that end an answer. For rows with `allowed` (choice-set decoding) only one token
    is generated.
    """
    batch = _PrefixBatch(model, rows)
    batch.prefill()
    hidden = batch.ask()
    answers = [[Generated() for _ in row.questions] for row in rows]
    active = [(b, q) for b, row in enumerate(rows) for q in range(len(row.questions))]
    allowed = [ids for row in rows for ids in row.allowed]
    if allowed:
        chosen = _likeliest(head(model.norm(hidden)), allowed)
        for (b, q), token in zip(active, chosen, strict=True):
            answers[b][q].tokens.append(token)
        return answers
    for step in range(max_new_tokens):
        chosen = head(model.norm(hidden)).argmax(-1).tolist()
        going = [
            (where, token) for where, token in zip(active, chosen, strict=True) if token not in stop
        ]
        for (b, q), token in going:
            answers[b][q].tokens.append(token)
            answers[b][q].truncated = step + 1 == max_new_tokens
        if not going or step + 1 == max_new_tokens:
            break
        active = [where for where, _ in going]
        hidden = batch.step(active, [token for _, token in going], step)
    return answers


def _likeliest(logits_NV: Tensor, allowed: Sequence[Sequence[int]]) -> list[int]:
    """For each row the allowed token id (there is at least one) with the largest logit."""
    most = max(map(len, allowed))
    padded = [[*ids, *[ids[0]] * (most - len(ids))] for ids in allowed]
    ids_NC = torch.tensor(padded, device=logits_NV.device)  # the head may be on another device
    best = logits_NV.gather(1, ids_NC).argmax(1, keepdim=True)
    found: list[int] = ids_NC.gather(1, best)[:, 0].tolist()
    return found


class _PrefixBatch:
    """The state of one batch: the owner of each key slot, and the cache."""

    def __init__(self, model: TextModel, rows: Sequence[PromptRow]) -> None:
        self._model, self._rows = model, rows
        self._device = rows[0].prefix_NW.device
        self._cache = PackedCache()
        self._owner_BK = torch.empty(len(rows), 0, dtype=torch.int32, device=self._device)

    def prefill(self) -> None:
        """Compute the keys and values of every row's prefix, padded on the right."""
        rows = self._rows
        longest = max(len(row.prefix_NW) for row in rows)
        first = rows[0]
        axes = first.positions_AN.shape[0]
        hidden = first.prefix_NW.new_zeros(len(rows), longest, first.prefix_NW.shape[1])
        positions = torch.zeros(axes, len(rows), longest, dtype=torch.long, device=self._device)
        owner = torch.full((len(rows), longest), _UNUSED, dtype=torch.int32, device=self._device)
        for b, row in enumerate(rows):
            length = len(row.prefix_NW)
            hidden[b, :length] = row.prefix_NW
            positions[:, b, :length] = row.positions_AN
            owner[b, :length] = _PREFIX
        questions = max(len(row.questions) for row in rows)
        tokens = max(sum(map(len, row.questions)) for row in rows)
        self._cache.reserve = tokens + _GROWTH_STEPS * questions
        self._forward(hidden, positions, owner, mask=None)
        self._cache.reserve = _GROWTH_STEPS * questions

    def ask(self) -> Tensor:
        """Run all questions; -> hidden states (questions, W) of their last tokens."""
        tokens, offsets, owners, last = [], [], [], []
        for b, row in enumerate(self._rows):
            tokens.append([token for question in row.questions for token in question])
            offsets.append([i for question in row.questions for i in range(len(question))])
            owners.append([q + 1 for q, question in enumerate(row.questions) for _ in question])
            end = -1
            for question in row.questions:
                end += len(question)
                last.append((b, end))
        hidden = self._extend(tokens, offsets, owners)
        where = torch.tensor(last, device=hidden.device)
        return hidden[where[:, 0], where[:, 1]]

    def step(self, active: list[tuple[int, int]], chosen: list[int], step: int) -> Tensor:
        """One token of every unfinished answer; -> hidden states (len(active), W)."""
        count = len(self._rows)
        tokens: list[list[int]] = [[] for _ in range(count)]
        offsets: list[list[int]] = [[] for _ in range(count)]
        owners: list[list[int]] = [[] for _ in range(count)]
        where = []
        for (b, q), token in zip(active, chosen, strict=True):
            where.append((b, len(tokens[b])))
            tokens[b].append(token)
            offsets[b].append(len(self._rows[b].questions[q]) + step)
            owners[b].append(q + 1)
        hidden = self._extend(tokens, offsets, owners)
        index = torch.tensor(where, device=hidden.device)
        return hidden[index[:, 0], index[:, 1]]

    def _extend(
        self, tokens: list[list[int]], offsets: list[list[int]], owners: list[list[int]]
    ) -> Tensor:
        """Append lists of tokens of different lengths to the rows. offsets: after the prefix."""
        width = max(map(len, tokens))

        def padded(lists: list[list[int]], fill: int) -> Tensor:
            return torch.tensor(
                [row + [fill] * (width - len(row)) for row in lists], device=self._device
            )

        base = torch.tensor([row.next_position for row in self._rows], device=self._device)
        positions = padded(offsets, 0) + base[:, None]
        owner = padded(owners, _UNUSED).to(torch.int32)
        hidden = self._model.embed_tokens(padded(tokens, 0))
        axes = self._rows[0].positions_AN.shape[0]
        keys = torch.cat([self._owner_BK, owner], dim=1)
        mask = (keys == _PREFIX)[:, None, :] | (keys[:, None, :] == owner[:, :, None])
        if width > 1:
            order = torch.ones(width, width, dtype=torch.bool, device=self._device).tril()
            mask[:, :, self._owner_BK.shape[1] :] &= order
        return self._forward(hidden, positions.expand(axes, -1, -1), owner, mask[:, None])

    def _forward(
        self,
        hidden: Tensor,
        positions: Tensor,
        owner: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """Run all layers, without the final norm. mask None: causal, with an empty cache."""
        axes = positions if positions.shape[0] > 1 else positions[0]
        rotary = self._model.rotary_emb(hidden, axes)
        for layer in self._model.layers:
            # The cache by position: transformers 5.24 renamed the argument.
            hidden = layer(hidden, mask, None, self._cache, position_embeddings=rotary)
        self._owner_BK = torch.cat([self._owner_BK, owner], dim=1)
        self._cache.start += owner.shape[1]
        return hidden
