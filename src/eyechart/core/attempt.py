"""The boundary of one image or question: an error becomes a value, and the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from eyechart.core.errors import (
    EyechartError,
    InputError,
    StoreError,
    UnusableVLMError,
    one_line,
)
from eyechart.core.types import Failure, Question, Stage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """What went wrong, before it is known which questions it affects.

    kind: the exception's class name. bad_input: the user can mend it. unusable: no other question
    can be answered either. trace: a traceback where the error was not foreseen, else "". error:
    the exception, where it is one of this package.
    """

    stage: Stage
    kind: str
    message: str
    retryable: bool
    bad_input: bool = False
    unusable: bool = False
    trace: str = ""
    error: EyechartError | None = field(default=None, compare=False, repr=False)

    def raise_error(self) -> NoReturn:
        """Raise it where one failure ends the work. Raises EyechartError."""
        raise self.error or EyechartError(self.message)

    def of(self, question: Question) -> Failure:
        """This failure as it is stored for one question."""
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

    An error of this package says itself whether trying again may help. Any other one is a bug here
    or in a plug-in, and is tried again because the bug may have been mended by then.

    Raises:
        StoreError: the run directory is broken, so nothing can go on.
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
            error=error,
        )
    except Exception as error:  # noqa: BLE001 - one bad image must not end a run
        return Failed(
            stage=stage,
            kind=type(error).__name__,
            message=one_line(error, 500),
            retryable=True,
            trace=traceback.format_exc(),
        )
