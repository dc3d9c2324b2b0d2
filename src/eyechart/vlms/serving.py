"""A VLM behind OpenAI's chat protocol: one image and one text in a request, answered greedily.

    POST /v1/chat/completions -> request, checked -> VLM, with all requests that wait -> completion
    GET /v1/models            -> its name

A request with any option that would change the answer, such as a temperature, is refused: an answer
without it would be that of another request.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from eyechart.core.attempt import Failed, attempt
from eyechart.core.errors import InputError, VLMError
from eyechart.core.identity import image_digest
from eyechart.core.images import MAX_FILE_BYTES, decode_image
from eyechart.core.prompts import prompt_families
from eyechart.core.types import VLM, Answer, Decoding, Json, Request, Rgb8

_COMPLETIONS, _MODELS = "/v1/chat/completions", "/v1/models"
_MOST_BODY_BYTES = MAX_FILE_BYTES
_MOST_TOKENS = 4096
_MOST_CHARS = 1 << 16  # of a question; a VLM may have a lower limit, or none
_MOST_TOGETHER = 16  # questions that the VLM gets in one call
_MOST_WAITING = 2 * _MOST_TOGETHER  # questions whose images are in memory
_SHOWN_CHARS = 100  # of what a request gave, in a message
_Limit = Annotated[int, msgspec.Meta(ge=1, le=_MOST_TOKENS)]


class _ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    detail: str | None = None


class _ImagePart(msgspec.Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    image_url: _ImageUrl


class _TextPart(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=_MOST_CHARS)]


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user"]
    content: list[_ImagePart | _TextPart]


class _VLMRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is answered. `seed`, `top_p` and `user` do not change a greedy answer."""

    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1, max_length=1)]
    temperature: Annotated[float, msgspec.Meta(ge=0, le=0)] | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    max_tokens: _Limit | None = None
    max_completion_tokens: _Limit | None = None
    seed: int | None = None
    top_p: float | None = None
    user: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    """A question, until it has its answer."""

    rgb8: Rgb8
    text: str
    decoding: Decoding
    found: Answer | Failed | None = None


class VLMServer(ThreadingHTTPServer):
    """Answers for one VLM until `shutdown`. The address is taken when it is constructed.

    name: of the VLM, which requests must give as `model`. port: 0 for a free one (`url`).

    Raises:
        OSError: the address cannot be used.
    """

    daemon_threads = True
    request_queue_size = 128  # connections that wait to be accepted

    def __init__(self, vlm: VLM, name: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), _VLMHandler)
        self.name = name
        self._vlm = vlm
        self._waiting: list[_Waiting] = []
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        self._turn = threading.Lock()  # a VLM is called by one thread at a time

    @property
    def url(self) -> str:
        """What a client takes as the base URL."""
        return f"http://{self.server_address[0]!s}:{self.server_port}/v1"

    @property
    def spec(self) -> str:
        """How other commands name it, with the family that has its prompts."""
        own = self._vlm.family in prompt_families()
        family = f",family={self._vlm.family}" if own else ""
        return f"openai:model={self.name},base_url={self.url}{family}"

    def complete(self, body: bytes) -> Json:
        """The chat completion for the body of a request.

        Raises:
            EyechartError: the request or its image cannot be used (InputError), or the VLM failed.
        """
        with self._places:
            asked = self._read(body)
            self._waiting.append(asked)
            with self._turn:
                if asked.found is None:  # else it was answered with another that came before it
                    self._answer_with(asked)
        if isinstance(asked.found, Failed):
            failed = asked.found
            raise failed.error or VLMError(failed.message, retryable=failed.retryable)
        assert asked.found is not None
        return _completion(asked.found, self.name)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _answer_with(self, asked: _Waiting) -> None:
        """Answer a question, and others that wait and have its settings. Where that fails, it is
        asked alone, so that no question fails because of another."""
        alike = [one for one in self._waiting[:] if one.decoding == asked.decoding]
        others = [one for one in alike if one is not asked][: _MOST_TOGETHER - 1]
        together = [asked, *others]
        found = self._answers(together)
        if isinstance(found, Failed):
            together = [asked]
            found = self._answers(together) if others else found
        for place, one in enumerate(together):
            one.found = found if isinstance(found, Failed) else found[place]
            self._waiting.remove(one)

    def _answers(self, together: Sequence[_Waiting]) -> list[Answer] | Failed:
        """The answers in order."""
        return attempt("answer", partial(self._asked_of_vlm, together), self.name)

    def _asked_of_vlm(self, together: Sequence[_Waiting]) -> list[Answer]:
        """All questions about one image are one request. Raises what the VLM raises, ValueError
        for another number of answers."""
        by_image: defaultdict[str, list[_Waiting]] = defaultdict(list)
        for one in together:
            by_image[image_digest(one.rgb8)].append(one)
        groups = list(by_image.values())
        requests = [
            Request(image=group[0].rgb8, prompts=tuple(one.text for one in group))
            for group in groups
        ]
        found = self._vlm.answer(requests, together[0].decoding)
        answers = {
            id(one): answer
            for group, its in zip(groups, found, strict=True)
            for one, answer in zip(group, its, strict=True)
        }
        return [answers[id(one)] for one in together]

    def _read(self, body: bytes) -> _Waiting:
        try:
            asked = msgspec.json.decode(body, type=_VLMRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"the request cannot be answered: {error}") from error
        if asked.model != self.name:
            raise InputError(f"no model {asked.model[:_SHOWN_CHARS]!r}; allowed: {self.name}")
        if asked.stream:
            raise InputError("stream is true; allowed: false")
        parts = asked.messages[0].content
        images = [part.image_url.url for part in parts if isinstance(part, _ImagePart)]
        texts = [part.text for part in parts if isinstance(part, _TextPart)]
        if len(images) != 1 or len(texts) != 1:
            raise InputError(
                f"a message of {len(images)} images and {len(texts)} texts; allowed: one of each"
            )
        limit = asked.max_tokens or asked.max_completion_tokens
        decoding = Decoding() if limit is None else Decoding(max_new_tokens=limit)
        return _Waiting(rgb8=_image_of(images[0]), text=texts[0], decoding=decoding)


def _image_of(url: str) -> Rgb8:
    """The image in a data URL. Raises InputError, ImageError."""
    head, _, data = url.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64")):
        raise InputError(f"image_url {url[:40]!r}; allowed: data:image/png;base64,... ")
    try:
        return decode_image(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise InputError(f"image_url: its base64 is damaged ({error})") from error


def _completion(answer: Answer, name: str) -> Json:
    """An answer as OpenAI words it. Without `usage`, because a prompt's tokens are not counted."""
    choice: Json = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": "length" if answer.truncated else "stop",
    }
    head: dict[str, Json] = {"id": "0", "object": "chat.completion", "created": 0, "model": name}
    return {**head, "choices": [choice]}


class _VLMHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection stays open between questions
    wbufsize: ClassVar[int] = -1  # head and body in one packet: two wait for each other
    timeout: ClassVar[float] = 60.0  # seconds without a byte, after which a connection is closed
    server: VLMServer

    def handle_expect_100(self) -> bool:
        if self._length() is None:
            return False
        going_on = super().handle_expect_100()
        self.wfile.flush()  # the client waits for it before it sends the body
        return going_on

    def do_POST(self) -> None:
        length = self._length()
        if length is None:
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            self._refuse(400, f"a body of {len(body)} bytes; its Content-Length is {length}")
            return
        if self.path != _COMPLETIONS:
            self._refuse(404, f"{self._nothing()}; allowed: POST {_COMPLETIONS}")
            return
        found = attempt("answer", partial(self.server.complete, body), self.server.name)
        if isinstance(found, Failed):
            # Clients ask again after 500, and not after 422.
            status = 400 if found.bad_input else 500 if found.retryable else 422
            self._refuse(status, found.message)
        else:
            self._send(200, found)

    def do_GET(self) -> None:
        if self.path == _MODELS:
            model: Json = {"id": self.server.name, "object": "model", "owned_by": "eyechart"}
            self._send(200, {"object": "list", "data": [model]})
        else:
            self._refuse(404, f"{self._nothing()}; allowed: GET {_MODELS}")

    def _length(self) -> int | None:
        """Bytes of the body; None if they are not allowed, which was said to the client."""
        length = self.headers.get("Content-Length", "")
        short = len(length) <= len(str(_MOST_BODY_BYTES))  # int() refuses thousands of digits
        if short and length.isdecimal() and int(length) <= _MOST_BODY_BYTES:
            return int(length)
        self.close_connection = True  # the body is not read, so no request can follow it
        shown = length[:_SHOWN_CHARS]
        self._refuse(413, f"Content-Length {shown!r}; allowed: 0 to {_MOST_BODY_BYTES}")
        return None

    def _nothing(self) -> str:
        return f"nothing at {self.path[:_SHOWN_CHARS]}"

    def _refuse(self, status: int, message: str) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self._send(status, {"error": {"message": message, "type": kind, "code": None}})

    def _send(self, status: int, value: Json) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: a run asks thousands of questions."""
