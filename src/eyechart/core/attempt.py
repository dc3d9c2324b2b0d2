"""The boundary of one image or question: its error becomes a value, so that the run continues."""

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
from eyechart.core.records import Failure, Stage
from eyechart.core.types import Question

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An error, before it is known which questions it affects.

    kind: the exception's class name. bad_input: the user can correct it. unusable: the VLM cannot
    answer any other question either. trace: the traceback of an unexpected error, else "". error:
    the exception, if its class is one of this package.
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
        """Raise the error, for callers that stop at the first failure. Raises EyechartError."""
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


def attempt(stage: Stage, call: Callable[[], _T], name: str = "") -> _T | Failed:
    """The call's result, or its error. name: of the plug-in, for unexpected errors.

    An error of this package says whether a retry may help. Any other error, or `sys.exit`, is a bug
    of this package or of a plug-in. It counts as retryable, because the bug may be fixed before the
    next run.

    Raises:
        StoreError: the run directory is broken, so the run cannot continue.
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
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one bad image must not end a run
        return Failed(
            stage=stage,
            kind=type(error).__name__,
            message=one_line(f"{name}: {one_line(error, 500)}" if name else error, 500),
            retryable=True,
            trace=traceback.format_exc(),
        )
