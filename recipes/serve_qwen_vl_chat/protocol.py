"""The part of OpenAI's chat protocol that eyechart uses: one image, one text, greedy.

    request -> checked -> image to a file -> model, one question at a time -> completion

Every other option of a request is refused and not ignored, because an answer with other options
than requested would make the measurement wrong.
"""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

MOST_BODY_BYTES = 256 << 20
DEFAULT_NEW_TOKENS = 512
_PNG_HEAD = "data:image/png;base64,"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# The model's tokenizer reads these in any text: <img> would make it open a file or an address.
_RESERVED = ("<img>", "</img>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """One answer. truncated: the token limit ended it."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool


class ChatModel(Protocol):
    """The model of the endpoint. Only one thread at a time calls it."""

    def answer(self, image_path: str, text: str, max_new_tokens: int) -> ChatAnswer:
        """Greedy answer to `text` about an image. Raises RuntimeError, ValueError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request that can be answered."""

    png: bytes
    text: str
    max_new_tokens: int


class Refused(Exception):  # noqa: N818 - it is what happens to the request
    """A request that is not answered, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ChatServer(ThreadingHTTPServer):
    """Answers POST /v1/chat/completions and GET /v1/models for one model.

    port: 0 for a free one (see `server_port`). folder: for the image files of requests; None: the
    system's folder for temporary files.
    """

    daemon_threads = True

    def __init__(
        self,
        model: ChatModel,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        folder: str | None = None,
    ) -> None:
        super().__init__((host, port), _ChatHandler)
        self.name = name
        self._model, self._folder = model, folder
        self._turn = threading.Lock()  # the model's code is not thread-safe

    def complete(self, body: bytes) -> dict[str, Any]:
        """The completion for a request's body. Raises Refused."""
        request = read_request(body, self.name)
        # The client's bytes unchanged, so the pixels are equal; deleted after the answer.
        with tempfile.NamedTemporaryFile(suffix=".png", dir=self._folder) as file:
            file.write(request.png)
            file.flush()
            try:
                with self._turn:
                    answer = self._model.answer(file.name, request.text, request.max_new_tokens)
            except (RuntimeError, ValueError, OSError) as error:
                raise Refused(500, f"{type(error).__name__}: {error}") from error
        return completion(answer, self.name)


def read_request(body: bytes, name: str) -> ChatRequest:
    """The request in a body. Raises Refused for anything but one PNG and one text, greedy."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON ({error})") from error
    if not isinstance(request, dict):
        raise Refused(400, "the body is not a JSON object")
    if request.get("model") != name:
        raise Refused(404, f"no model {request.get('model')!r} here; allowed: {name!r}")
    for key, allowed in (("temperature", 0), ("n", 1), ("stream", False)):
        if request.get(key, allowed) not in (allowed, None):
            raise Refused(400, f"{key} {request[key]!r}: only {allowed!r} here")
    limit = request.get("max_tokens", request.get("max_completion_tokens")) or DEFAULT_NEW_TOKENS
    if not isinstance(limit, int) or limit < 1:
        raise Refused(400, f"max_tokens {limit!r}: not a whole number above 0")
    picture, text = _content(request.get("messages"))
    return ChatRequest(png=_png(picture), text=text, max_new_tokens=limit)


def _content(messages: Any) -> tuple[str, str]:
    """URL of the image, and the text, of the only message."""
    try:
        (message,) = messages
        role, parts = message["role"], message["content"]
        (url,) = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        (text,) = [part["text"] for part in parts if part["type"] == "text"]
    except (TypeError, KeyError, ValueError) as error:
        raise Refused(400, "messages: one user message of one image_url and one text") from error
    if role != "user" or not isinstance(url, str) or not isinstance(text, str) or len(parts) != 2:
        raise Refused(400, "messages: one user message of one image_url and one text")
    for word in _RESERVED:
        if word in text:
            raise Refused(400, f"text: {word!r} has a special meaning for this model")
    return url, text


def _png(url: str) -> bytes:
    """The file in a data URL."""
    if not url.startswith(_PNG_HEAD):
        raise Refused(400, f"image_url: only {_PNG_HEAD}..., so that the image is lossless")
    try:
        png = base64.b64decode(url[len(_PNG_HEAD) :], validate=True)
    except binascii.Error as error:
        raise Refused(400, f"image_url: not base64 ({error})") from error
    if not png.startswith(_PNG_MAGIC):
        raise Refused(400, "image_url: not a PNG file")
    return png


def completion(answer: ChatAnswer, name: str) -> dict[str, Any]:
    """An answer in OpenAI's format."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": "length" if answer.truncated else "stop",
    }
    usage = {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
    head = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": name}
    return {**head, "choices": [choice], "usage": usage}


class _ChatHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open between questions
    server: ChatServer

    def do_POST(self) -> None:
        try:
            body = self._body()
            if self.path != "/v1/chat/completions":
                raise Refused(404, f"nothing at {self.path}; POST /v1/chat/completions")
            self._send(200, self.server.complete(body))
        except Refused as refused:
            self._refuse(refused)

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            models = [{"id": self.server.name, "object": "model", "owned_by": "local"}]
            self._send(200, {"object": "list", "data": models})
        else:
            self._refuse(Refused(404, f"nothing at {self.path}; GET /v1/models"))

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            self.close_connection = True  # the body is not read, so no request can follow it
            raise Refused(413, f"Content-Length {length!r}: allowed: 0 to {MOST_BODY_BYTES}")
        return self.rfile.read(int(length))

    def _refuse(self, refused: Refused) -> None:
        kind = "server_error" if refused.status >= 500 else "invalid_request_error"
        error = {"message": str(refused), "type": kind, "code": None}
        self._send(refused.status, {"error": error})

    def _send(self, status: int, value: dict[str, Any]) -> None:
        payload = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because a run asks millions of questions."""
