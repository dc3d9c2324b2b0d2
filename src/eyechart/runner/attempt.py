"""The cell's boundary: what goes wrong with one question becomes a value, and the run goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from eyechart.core.errors import EyechartError, InputError, StoreError, UnusableVLMError
from eyechart.core.types import Failure, Question, Stage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """What went wrong, before it is known which questions it costs.

    bad_input: the user could mend it. unusable: no other question can be answered either.
    trace: a traceback where the error was not foreseen, or "".
    """

    stage: Stage
    kind: str
    message: str
    retryable: bool
    bad_input: bool = False
    unusable: bool = False
    trace: str = ""

    def of(self, question: Question) -> Failure:
        """This failure as the fate of one question."""
        return Failure(
            question_id=question.id,
            image=question.image,
            stage=self.stage,
            kind=self.kind,
            message=self.message,
            retryable=self.retryable,
        )


def attempt(stage: Stage, call: Callable[[], _T]) -> _T | Failed:
    """The call's result, or what went wrong.

    A foreseen error says itself whether trying again may help; an unforeseen one is a bug here or
    in a plug-in, and is tried again because the bug may have been mended by then.

    Raises:
        StoreError: the run directory is broken; then nothing can go on.
    """
    try:
        return call()
    except StoreError:
        raise
    except EyechartError as error:
        return Failed(
            stage=stage,
            kind=type(error).__name__,
            message=str(error),
            retryable=bool(getattr(error, "retryable", False)),
            bad_input=isinstance(error, InputError),
            unusable=isinstance(error, UnusableVLMError),
        )
    except Exception as error:  # noqa: BLE001 - the one place: a bad picture must not end a run
        text = " ".join(str(error).split())
        return Failed(
            stage=stage,
            kind=type(error).__name__,
            message=f"{type(error).__name__}: {text}"[:500],
            retryable=True,
            trace=traceback.format_exc(),
        )
