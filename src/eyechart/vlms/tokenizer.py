"""A checkpoint's tokenizer and chat template: loading, and a check before the first question."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import TemplateError

from eyechart.core.errors import InputError, VLMError, one_line
from eyechart.core.foreign import read_json
from eyechart.vlms.backbone import Backbone, PreparedImage

# For one short question; real templates take milliseconds and a few kilobytes.
TEMPLATE_S = 10.0
TEMPLATE_BYTES = 1 << 30
_LONGEST_PROMPT = 1 << 20  # characters
# One of these holds the vocabulary; without any, transformers makes an empty vocabulary.
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model")


def load_tokenizer(source: str) -> Any:
    """The checkpoint's tokenizer with its chat template.

    Raises:
        InputError: one of them is missing or cannot be read.
    """
    from transformers import AutoTokenizer

    if not any((Path(source) / name).is_file() for name in _VOCABULARIES):
        raise InputError(f"{source}: no tokenizer ({', '.join(_VOCABULARIES)})")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source}: tokenizer cannot be loaded ({one_line(error)})") from error
    if not tokenizer.chat_template:
        tokenizer.chat_template = _old_template(Path(source))
    return tokenizer


def _old_template(folder: Path) -> str:
    """The chat template in the file of older checkpoints."""
    path = folder / "chat_template.json"
    try:
        template = read_json(path)["chat_template"]
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: no chat template (chat_template.jinja, chat_template.json)"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: has no chat_template ({one_line(error)})") from error
    if not isinstance(template, str) or not template:
        raise InputError(f"{path}: chat_template is not text")
    return template


def check_placeholder(backbone: Backbone, source: str) -> None:
    """Put one question and an image of one token into the chat template.

    Raises:
        InputError: the template has no image placeholder, or it fails.
    """
    try:
        with _at_most(TEMPLATE_S), _allocating(TEMPLATE_BYTES):
            text = backbone.text("?")
        if len(text) > _LONGEST_PROMPT:
            raise VLMError(f"the template makes {len(text):,} characters of a question of one")
        (ids,) = backbone.tokenizer([text])["input_ids"]
        backbone.expand(ids, PreparedImage(inputs={}, tokens=1))
    except MemoryError as error:
        raise InputError(f"{source}: the chat template needs too much memory") from error
    except (VLMError, TemplateError, TimeoutError) as error:
        raise InputError(
            f"{source}: tokenizer, chat template and config.json do not fit together "
            f"({one_line(error)})"
        ) from error


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End Python code that runs longer: a template is compiled to such code, and may loop.

    Raises TimeoutError.
    """
    end_s = time.monotonic() + seconds

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if time.monotonic() > end_s:
            raise TimeoutError(f"the template takes longer than {seconds:g} s")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def _allocating(most_bytes: int) -> Iterator[None]:
    """Let this process allocate only so much more memory: the code of a template may double a text
    again and again. Without effect where the system does not say how much memory is used.

    Raises MemoryError.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = (pages * resource.getpagesize() + most_bytes, soft, hard)
    lowest = min(limit for limit in limits if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer, the same as for `generate`."""
    found = model.generation_config.eos_token_id
    if found is None:
        found = tokenizer.eos_token_id
    return frozenset([found] if isinstance(found, int) else found)
