"""Teach a trained VLM the two questions of the task Acuity, and change none of its weights.

    python -m recipes.chart.prompt_tokens --model DIR [--device cuda]

    page of letters or a ring -> vision tower -> keys and values of its tokens   (frozen, made once)
    prompt tokens (trained)   -> language model that attends to these -> answer  (frozen)

Prompt tuning (Lester et al., 2021, arXiv:2104.08691): the text of each question is replaced by new
tokens, and only their embeddings are trained. DIR is a model as `ship` writes it. Its weights, its
tokenizer, its chat template and its card are written again. The chat template puts the new tokens
in place of these two texts. All other prompts have the tokens that they had, and all answers to
them stay the same. It takes minutes, because the vision tower sees each page once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyechart.tasks.acuity import ASK
from recipes.chart.forward import ChartForward, KeysValues
from recipes.chart.optotype_pages import draw_optotypes, sample_optotypes
from recipes.chart.packing import Packer
from recipes.chart.scene import Scene

HELD_OUT_SEED = 10_000_000
_BATCH = 64
_WARM_UP_STEPS = 20
_LOG_EVERY = 200  # steps
_CARD_MARK = "## Prompt tokens"
_BANDS_PX = ((6, 10), (11, 15), (16, 20), (21, 25), (26, 33), (34, 42))
_ANSWER_TOKENS = 4  # three letters and the end


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedQuestion:
    """How one question of the task is learned.

    tokens: that replace its text. start: a text whose embeddings they have before training,
    repeated. least_px: smaller signs are left out, because features of the vision tower hardly show
    them. said: what the VLM is trained to answer. The task's scorer takes all these words.
    """

    tokens: int
    pages: int  # seeds of pages, of which some have this question
    steps: int
    rate: float  # of Adam; the embeddings of words have a length of 2
    start: str
    least_px: int = 0
    said: tuple[tuple[str, str], ...] = ()

    def answer(self, page: Scene) -> str:
        (row,) = page.texts
        return dict(self.said).get(row.text, row.text)


QUESTIONS = {
    "letters": TunedQuestion(
        tokens=16, pages=6144, steps=600, rate=0.05, start="what is written in the image?"
    ),
    "ring": TunedQuestion(
        tokens=24,
        pages=24_576,
        steps=1200,
        rate=0.1,
        start="In which part is the open side: left, right, top or bottom?",
        least_px=14,
        # "up" and "down" are in no answer of another task, and output embeddings are frozen.
        said=(("up", "top"), ("down", "bottom")),
    ),
}


def token_names(kind: str) -> list[str]:
    """The prompt tokens of a question in their order."""
    return [f"<|{kind}_{number}|>" for number in range(QUESTIONS[kind].tokens)]


def with_prompt_tokens(template: str) -> str:
    """A chat template that puts the prompt tokens in place of the texts of the task's questions.

    Raises:
        ValueError: the template has another form, or it has them already.
    """
    swaps = "".join(
        f" | replace({json.dumps(text)}, {json.dumps(''.join(token_names(kind)))})"
        for kind, text in ASK.items()
    )
    if swaps in template:
        raise ValueError("the model has prompt tokens; start from its weights without them")
    shown = "{{ part['text'] }}"
    if shown not in template:
        raise ValueError(f"the chat template does not show {shown}")
    return template.replace(shown, f"{{{{ part['text']{swaps} }}}}")


class Pages:
    """Pages of one question: what the frozen model keeps of each image, and the right answers.

    seeds: of all pages, of which some have the question. least_px: smaller signs are left out.
    """

    def __init__(
        self,
        network: ChartForward,
        packer: Packer,
        kind: str,
        seeds: Sequence[int],
        least_px: int = 0,
    ) -> None:
        asked = QUESTIONS[kind]
        self.pages = [
            page
            for page in map(sample_optotypes, seeds)
            if page.texts[0].role == kind and page.texts[0].font_px >= least_px
        ]
        self.answers = [asked.answer(page) for page in self.pages]
        said = [[*packer.ids(answer), *packer.end_of_answer] for answer in self.answers]
        longest = max(map(len, said))
        self.target_PT = torch.tensor([ids + [-100] * (longest - len(ids)) for ids in said])
        parts = [
            _kept(network, packer, self.pages[start : start + _BATCH])
            for start in range(0, len(self.pages), _BATCH)
        ]
        layers = range(len(parts[0]))
        self.kept = [
            (torch.cat([part[n][0] for part in parts]), torch.cat([part[n][1] for part in parts]))
            for n in layers
        ]

    def batch(self, index: Any) -> list[KeysValues]:
        """Keys and values of some pages in each layer, float32."""
        return [(keys[index].float(), values[index].float()) for keys, values in self.kept]

    def shares(self, said: Sequence[str]) -> list[float]:
        """The share of each page's signs that are read."""
        return [
            sum(a == b for a, b in zip(given, right, strict=False)) / len(right)
            if page.texts[0].role == "letters"
            else float(given == right)
            for page, given, right in zip(self.pages, said, self.answers, strict=True)
        ]


@torch.no_grad()
def _kept(network: ChartForward, packer: Packer, pages: Sequence[Scene]) -> list[KeysValues]:
    """Keys and values of the tokens before the question, float16 to save memory."""
    images = np.stack([draw_optotypes(page) for page in pages]).transpose(0, 3, 1, 2)
    visual_BND = network.encode_images(torch.tensor(images))
    count, length = len(pages), len(packer.prefix)
    embedded = network.language.embed_tokens(torch.tensor(packer.prefix)).expand(count, -1, -1)
    after = packer.first + visual_BND.shape[1]
    x_BLD = torch.cat([embedded[:, : packer.first], visual_BND, embedded[:, after:]], dim=1)
    position = torch.tensor(packer.prefix_position)[:, None].expand(-1, count, -1)
    causal = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
    _, kept = network.decode(x_BLD, position, causal)
    return [(keys.half(), values.half()) for keys, values in kept]


class Tuner:
    """The frozen model, which is asked with prompt tokens."""

    def __init__(self, network: ChartForward, packer: Packer) -> None:
        self.network, self.packer = network, packer
        self.words_VD = network.language.embed_tokens.weight.detach()
        self.between_LD = self.words_VD[torch.tensor(packer.between)]

    def logits(self, kept: list[KeysValues], prompt_TD: Tensor, said_BT: Tensor) -> Tensor:
        """(B, T + 1, words) after the prompt and after each token that was said."""
        count = said_BT.shape[0]
        asked_LD = torch.cat([prompt_TD, self.between_LD])
        x_BLD = torch.cat([asked_LD.expand(count, -1, -1), self.words_VD[said_BT]], dim=1)
        length, earlier = x_BLD.shape[1], len(self.packer.prefix)
        position = (self.packer.start + torch.arange(length)).expand(3, count, -1)
        causal = torch.ones(length, earlier + length, dtype=torch.bool).tril(earlier)
        hidden, _ = self.network.decode(x_BLD, position, causal[None, None], kept)
        found: Tensor = self.network.head(hidden[:, len(asked_LD) - 1 :])
        return found

    @torch.no_grad()
    def answers(self, pages: Pages, prompt_TD: Tensor, tokenizer: Any) -> list[str]:
        """The likeliest answer for each page."""
        said = torch.zeros(len(pages.pages), 0, dtype=torch.long)
        kept = pages.batch(slice(None))
        for _ in range(_ANSWER_TOKENS):
            likeliest = self.logits(kept, prompt_TD, said)[:, -1:].argmax(-1)
            said = torch.cat([said, likeliest], dim=1)
        return [text.split(tokenizer.eos_token)[0] for text in tokenizer.batch_decode(said)]

    def tune(self, asked: TunedQuestion, pages: Pages) -> Iterator[tuple[int, float, Tensor]]:
        """Train the embeddings of a question's prompt tokens.

        Yields the step, the mean loss since the last and the embeddings (tokens, D).
        """
        start = (self.packer.ids(asked.start) * asked.tokens)[: asked.tokens]
        prompt_TD = nn.Parameter(self.words_VD[torch.tensor(start)].clone())
        optimizer = torch.optim.Adam([prompt_TD], lr=asked.rate, betas=(0.9, 0.98))
        rng = np.random.default_rng(0)
        losses: list[float] = []
        for step in range(asked.steps):
            for group in optimizer.param_groups:
                falling = 1.5 * (1 - step / asked.steps)
                group["lr"] = asked.rate * min(1.0, (step + 1) / _WARM_UP_STEPS, falling)
            index = torch.tensor(rng.integers(len(pages.pages), size=_BATCH))
            target = pages.target_PT[index]
            logits = self.logits(pages.batch(index), prompt_TD, target[:, :-1].clamp(min=0))
            loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([prompt_TD], 1.0)
            optimizer.step()
            losses.append(loss.item())
            if (step + 1) % _LOG_EVERY == 0 or step + 1 == asked.steps:
                yield step + 1, float(np.mean(losses)), prompt_TD.detach()
                losses = []


def widened(model: Any, rows_ND: Tensor, first: int, never: int) -> Any:
    """The model with more words: the rows are their embeddings, from index `first`.

    Output and input embeddings become two matrices. The output rows of the new words are copies of
    that of the word `never`, which is never said: so a new word is never the likeliest.
    """
    config = model.config.__class__.from_dict(model.config.to_dict())
    words = 8 * -(-(first + len(rows_ND)) // 8)
    config.text_config.vocab_size = words
    for part in (config, config.text_config):
        part.tie_word_embeddings = False
    state = dict(model.state_dict())
    known_VD = state["model.language_model.embed_tokens.weight"][:first]
    padding = known_VD.new_zeros(words - first - len(rows_ND), known_VD.shape[1])
    state["model.language_model.embed_tokens.weight"] = torch.cat([known_VD, rows_ND, padding])
    silent = known_VD[never].expand(words - first, -1)
    state["lm_head.weight"] = torch.cat([known_VD, silent])
    wider = model.__class__(config)
    wider.load_state_dict(state)
    wider.generation_config = model.generation_config
    return wider.eval()


def read_shares(pages: Pages, said: Sequence[str]) -> list[tuple[str, float, int]]:
    """(heights, share read, pages) of pages at full contrast, small signs first."""
    found = []
    for low, high in _BANDS_PX:
        shares = [
            share
            for page, share in zip(pages.pages, pages.shares(said), strict=True)
            if page.contrast == 1 and low <= page.texts[0].font_px <= high
        ]
        if shares:
            found.append((f"{low} to {high} px", float(np.mean(shares)), len(shares)))
    return found


CARD = """{mark}

The two questions of the task Acuity are asked with {tokens} tokens of their own, which the chat
template puts in place of their texts. Only the embeddings of these tokens were trained (prompt
tuning, arXiv:2104.08691; `recipes/chart/prompt_tokens.py`): {embeddings:,} numbers, on the
uncompressed images of {letters:,} pages of letters and {rings:,} of rings, in {minutes:.0f}
minutes on {device}. No other weight was changed, all other prompts have the same tokens as
before, and the new tokens are never part of an answer. The answer for a ring is right, top, left or
bottom. Other wordings of the questions are not understood.

Held-out pages at full contrast, share read:

| height | letters | pages | ring | pages |
| --- | ---: | ---: | ---: | ---: |
{table}
"""


def card_section(
    shares: dict[str, list[tuple[str, float, int]]],
    pages: dict[str, int],
    embeddings_ND: Tensor,
    took_s: float,
    device: str,
) -> str:
    """What the model's card says about the prompt tokens."""
    rings = {height: (share, count) for height, share, count in shares["ring"]}
    rows = []
    for height, share, count in shares["letters"]:
        ring = "{:.0%} | {}".format(*rings[height]) if height in rings else " | 0"
        rows.append(f"| {height} | {share:.0%} | {count} | {ring} |")
    return CARD.format(
        mark=_CARD_MARK,
        tokens=len(embeddings_ND),
        embeddings=embeddings_ND.numel(),
        letters=pages["letters"],
        rings=pages["ring"],
        minutes=took_s / 60,
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else device.upper(),
        table="\n".join(rows),
    )


def add_prompt_tokens(
    folder: Path, *, held_out: int, most_pages: int | None = None, device: str = "cpu"
) -> None:
    """Train the prompt tokens of a model directory and write it again.

    most_pages: fewer seeds of training pages, for a try. device: torch's name of it.

    Raises:
        ValueError: it has prompt tokens, or its chat template has another form.
    """
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    began = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    template = with_prompt_tokens(tokenizer.chat_template)
    model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.eval().requires_grad_(False)
    network, packer = ChartForward(model).to(device), Packer(tokenizer)
    tuner = Tuner(network, packer)
    rows: list[Tensor] = []
    shares: dict[str, list[tuple[str, float, int]]] = {}
    pages: dict[str, int] = {}
    held_out_seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + held_out)
    for kind, asked in QUESTIONS.items():
        seeds = range(min(asked.pages, most_pages or asked.pages))
        with torch.device(device):
            seen = Pages(network, packer, kind, seeds, asked.least_px)
            tested = Pages(network, packer, kind, held_out_seeds)
            pages[kind] = len(seen.pages)
            for step, loss, prompt_TD in tuner.tune(asked, seen):
                shares[kind] = read_shares(tested, tuner.answers(tested, prompt_TD, tokenizer))
                listed = ", ".join(f"{height} {share:.0%}" for height, share, _ in shares[kind])
                took_s = time.monotonic() - began
                print(f"{kind} {step}, {took_s:.0f} s: loss {loss:.3f}, read: {listed}", flush=True)
        rows.append(prompt_TD.cpu())
    model.cpu()
    embeddings_ND = torch.cat(rows)
    never: Any = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    wider = widened(model, embeddings_ND, len(tokenizer), never)
    tokenizer.add_tokens([n for kind in QUESTIONS for n in token_names(kind)], special_tokens=True)
    tokenizer.chat_template = template
    wider.to(torch.float16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # others may read what is installed
    for key in ("is_local", "local_files_only"):  # how it was loaded here
        tokenizer.init_kwargs.pop(key, None)
    tokenizer.save_pretrained(folder)
    section = card_section(shares, pages, embeddings_ND, time.monotonic() - began, device)
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(f"{card.rstrip()}\n\n{section}")


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Train prompt tokens for the acuity chart.")
    parser.add_argument("--model", type=Path, required=True, help="directory that `ship` wrote")
    parser.add_argument("--held-out", type=int, default=2048, help="pages to validate on")
    parser.add_argument("--device", default="cpu", help="torch's name of it")
    args = parser.parse_args()
    add_prompt_tokens(args.model, held_out=args.held_out, device=args.device)


if __name__ == "__main__":
    main()
