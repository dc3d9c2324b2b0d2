"""The errors of this package. A message is one line: what, which value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable


class EyechartError(Exception):
    """Base of all errors this package raises on purpose."""


class InputError(EyechartError):
    """The user's input cannot be used (command line: exit code 2)."""


class PluginError(InputError):
    """A codec, VLM or task name is unknown, or its plug-in cannot be imported."""


class BrokenPluginError(PluginError):
    """A plug-in raised something unexpected, or two distributions register its name."""


class UnusableVLMError(InputError):
    """A VLM cannot answer any question until the user changes something: its key, quota, model name
    or server. An error of one question is a VLMError."""


class NotDownloadedError(InputError):
    """What is at a URL is not downloaded by a command that only describes."""


class ImageError(InputError):
    """Bytes are not a readable image: corrupt, truncated, or too many pixels."""


class TrainingError(EyechartError):
    """A training cannot continue; its last checkpoint is kept."""


class StoreError(EyechartError):
    """The run directory cannot be read or written, or belongs to another run."""


class CodecError(EyechartError):
    """A codec failed: crash, hang, truncated or corrupt bitstream, full disk."""

    def __init__(
        self, message: str, *, codec: str, level: str = "", image: str = "", retryable: bool = False
    ) -> None:
        where = " ".join(
            part for part in (codec, level and f"level {level}", image and f"image {image}") if part
        )
        super().__init__(f"{where}: {message}")
        self.message, self.codec, self.level, self.image = message, codec, level, image
        self.retryable = retryable

    def named(self, *, level: str = "", image: str = "") -> CodecError:
        """The same error with the level and image, which only the caller knows."""
        return CodecError(
            self.message,
            codec=self.codec,
            level=self.level or level,
            image=self.image or image,
            retryable=self.retryable,
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel between processes; the default would call __init__ with the joined text.
        return (
            _rebuild_codec_error,
            (self.message, self.codec, self.level, self.image, self.retryable),
        )


def _rebuild_codec_error(
    message: str, codec: str, level: str, image: str, retryable: bool
) -> CodecError:
    return CodecError(message, codec=codec, level=level, image=image, retryable=retryable)


class VLMError(EyechartError):
    """A vision-language model could not answer (out of memory, server error, refusal to load)."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class StoppedError(EyechartError):
    """The user stopped the work (Ctrl-C); the message says what is kept and how to continue."""


class WorkerDiedError(EyechartError):
    """A worker process ended in the middle of a call, or the pool of workers was closed."""


class ArrayLostError(EyechartError):
    """An array of a call is lost, because its node ended, or could not be made. Make it again, and
    repeat the call."""

    retryable = True


LONGEST_LINE = 300  # characters of a printed line that may quote foreign text


def one_line(error: BaseException | str, longest: int = 200) -> str:
    """A foreign error (with its class) or a text, as one line of at most `longest` characters.

    The middle of a longer line is cut out. Control characters are escaped, because the line is
    printed in a terminal.
    """
    text = str(error)
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    text = " ".join(text.split())
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    if len(text) <= longest:
        return text
    end = longest // 3  # the end often says why, or what is allowed
    return f"{text[: longest - end - 5]} ... {text[-end:]}"


def in_one_line(reasons: Iterable[str], longest: int = LONGEST_LINE) -> str:
    """The different reasons, joined by semicolons, in one line of about `longest` characters.

    Each reason is cut to an equal share, so that the beginning of every one is read.
    """
    different = list(dict.fromkeys(reasons))
    share = longest // max(len(different), 1) - len("; ")
    return "; ".join(one_line(reason, max(share, 60)) for reason in different)
