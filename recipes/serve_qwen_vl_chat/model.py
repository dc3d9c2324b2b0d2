"""Qwen-VL-Chat through the code that its checkpoint brings (Bai et al., arXiv:2308.12966).

Prompts are those of VLMEvalKit: the image, then the text, in one user turn, after the checkpoint's
system message.
"""

from __future__ import annotations

from typing import Any

from recipes.serve_qwen_vl_chat.protocol import ChatAnswer

# The tokenizer stores an image's path in the positions of its 256 visual tokens, a byte each.
MOST_PATH_BYTES = 256


class QwenVLChat:
    """The model, loaded. source: hub id or folder. revision: of a hub id; None is the newest.

    device: `cuda`, `cuda:1` (bfloat16) or `cpu` (float32).
    """

    def __init__(self, source: str, *, revision: str | None = None, device: str = "cuda") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        # `fp32`, `bf16`: options of the checkpoint's code; without them it chooses by the GPU.
        precision = {"fp32": True} if device == "cpu" else {"bf16": True}
        given: dict[str, Any] = {"revision": revision, "trust_remote_code": True}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(source, **given)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, device_map=device, **precision, **given
        )
        self._model = model.eval()

    def answer(self, image_path: str, text: str, max_new_tokens: int) -> ChatAnswer:
        """The greedy answer. (The checkpoint's generation_config.json would sample.)

        Raises:
            ValueError: the path is too long. RuntimeError: out of memory.
        """
        if len(image_path.encode()) > MOST_PATH_BYTES:
            raise ValueError(f"{image_path}: longer than {MOST_PATH_BYTES} bytes")
        query = self._tokenizer.from_list_format([{"image": image_path}, {"text": text}])
        reply, _ = self._model.chat(
            self._tokenizer,
            query=query,
            history=None,
            do_sample=False,
            max_new_tokens=max_new_tokens,
        )
        # The checkpoint's code returns only text. An answer with the largest allowed number of
        # tokens was ended by the limit.
        tokens = len(self._tokenizer.encode(reply))
        return ChatAnswer(
            text=reply,
            prompt_tokens=len(self._tokenizer.encode(query)),
            completion_tokens=tokens,
            truncated=tokens >= max_new_tokens,
        )
