"""Large arrays of calls and results that travel from node to node, not through the driver.

    driver -> call, references of its arrays -> worker, which reads the arrays from other nodes
           <- result, references of its arrays <-       and keeps those of its result on its node

In the driver a `RemoteArray` takes the place of an array of a result. As an argument of another
call it is the array again. So is an `ArrayToMake`, of which only what it is made from travels.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from eyechart.core.errors import ArrayLostError, one_line
from eyechart.core.pool import answer_call

LEAST_BYTES = 100 << 10  # Ray sends smaller objects with the call


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteArray:
    """An array in the memory of some node, until no reference to it is left.

    reference: what the cluster knows it by.
    """

    reference: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayToMake:
    """An array that the worker of another call makes itself, `make(*given)`, because this takes
    less time than sending it.

    make: a function of a module.
    """

    make: Callable[..., np.ndarray[Any, Any]]
    given: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Its size in memory, once it is made."""
        return math.prod(self.shape) * self.dtype.itemsize


def dump_call(call: object, put: Callable[[np.ndarray[Any, Any]], Any]) -> tuple[bytes, list[Any]]:
    """In the driver: a pickled call, and the references of its arrays.

    put: stores an array, -> its reference. Raises pickle's error.
    """
    references: list[Any] = []

    def apart(value: object) -> int | tuple[Callable[..., Any], tuple[Any, ...]] | None:
        if isinstance(value, ArrayToMake):
            return value.make, value.given
        if isinstance(value, RemoteArray):
            references.append(value.reference)
        elif _is_large(value):
            references.append(put(value))
        else:
            return None
        return len(references) - 1

    return _dumps(call, apart), references


def answer_remote_call(
    message: bytes, arrays: Sequence[np.ndarray[Any, Any]], most_kept: int
) -> tuple[bytes, list[np.ndarray[Any, Any]]]:
    """In a worker: make a call of `dump_call` with its arrays; -> the reply, and up to `most_kept`
    arrays that are not in it."""
    kept: list[np.ndarray[Any, Any]] = []

    def apart(value: object) -> tuple[int, tuple[int, ...], str] | None:
        if len(kept) >= most_kept or not _is_large(value):
            return None
        kept.append(value)
        return len(kept) - 1, value.shape, value.dtype.str

    def argument(key: int | tuple[Callable[..., Any], tuple[Any, ...]]) -> object:
        if isinstance(key, int):
            return arrays[key].copy()  # because what a node shares cannot be written to
        make, given = key
        try:
            return make(*given)
        except Exception as error:
            raise ArrayLostError(f"an array cannot be made ({one_line(error)})") from error

    reply = answer_call(
        message,
        loads=lambda data: _loads(data, argument),
        dumps=lambda value: _dumps(value, apart),
    )
    return reply, kept


def load_reply(reply: bytes, references: Sequence[Any]) -> Any:
    """In the driver: the reply of `answer_remote_call`, with a `RemoteArray` for each kept array.
    Raises pickle's error."""

    def array(key: tuple[int, tuple[int, ...], str]) -> RemoteArray:
        place, shape, dtype = key
        return RemoteArray(reference=references[place], shape=shape, dtype=np.dtype(dtype))

    return _loads(reply, array)


def _is_large(value: object) -> TypeGuard[np.ndarray[Any, Any]]:
    return type(value) is np.ndarray and value.nbytes >= LEAST_BYTES and not value.dtype.hasobject


class _Pickler(pickle.Pickler):
    """apart: -> the key that is pickled in place of a value, or None."""

    def __init__(self, file: io.BytesIO, apart: Callable[[object], object]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._apart = apart

    def persistent_id(self, value: object) -> object:
        return self._apart(value)


class _Unpickler(pickle.Unpickler):
    """found: key -> value."""

    def __init__(self, file: io.BytesIO, found: Callable[[Any], object]) -> None:
        super().__init__(file)
        self._found = found

    def persistent_load(self, key: Any) -> object:
        return self._found(key)


def _dumps(value: object, apart: Callable[[object], object]) -> bytes:
    file = io.BytesIO()
    _Pickler(file, apart).dump(value)
    return file.getvalue()


def _loads(data: bytes, found: Callable[[Any], object]) -> Any:
    return _Unpickler(io.BytesIO(data), found).load()
