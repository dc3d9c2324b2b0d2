"""Errors of object stores, as one line without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from eyechart.core.errors import InputError
from eyechart.store.bucket import Bucket

KEY = "Zm9vYmFyYmF6"


class Files:
    """A file system that can do nothing."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def find(self, root: str, *, detail: bool) -> Any:
        raise self._error


class ResourceNotFoundError(Exception):
    """What adlfs raises for a container that is not there."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("x"), "no such bucket or object"),
        (ResourceNotFoundError("x"), "no such bucket or object"),
        (PermissionError("x"), r"access denied \(PermissionError: x\); set AZURE_"),
        (OSError("Forbidden: https://x"), "access denied"),
        (RuntimeError("Unable to locate credentials"), "no credentials; set AZURE_"),
        (ValueError("x"), r"cannot be used \(ValueError: x\)"),
    ],
)
def test_what_went_wrong_is_named(error: Exception, said: str) -> None:
    with pytest.raises(InputError, match=f"az://photos/run: {said}"):
        Bucket("az://photos/run", Files(error), "photos/run").list()


@pytest.mark.parametrize(
    "message",
    [lambda text: f"bad: {text}", lambda text: f"key {KEY}"],
)
def test_no_part_of_a_connection_string_is_printed(
    monkeypatch: pytest.MonkeyPatch, message: Callable[[str], str]
) -> None:
    text = f"AccountName=someone;AccountKey={KEY};EndpointSuffix=x"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    error = ValueError(message(text))
    with pytest.raises(InputError) as raised:
        Bucket("az://photos/run", Files(error), "photos/run").list()
    assert KEY not in str(raised.value)


def test_the_url_of_one_object_may_be_listed_without_details() -> None:
    class OneObject:
        def find(self, root: str, *, detail: bool) -> list[str]:
            return [root]

        def info(self, path: str) -> dict[str, Any]:
            return {"size": 3, "etag": "e"}

    assert Bucket("az://photos/a.tsv", OneObject(), "photos/a.tsv").list() == {"a.tsv": ["3", "e"]}


def test_the_file_systems_loggers_are_quiet_during_calls_only() -> None:
    logger = logging.getLogger("adlfs")
    before, levels = logger.level, []

    class Noting:
        def find(self, root: str, *, detail: bool) -> dict[str, Any]:
            levels.append(logger.level)
            return {}

    Bucket("az://photos/run", Noting(), "photos/run").list()
    with pytest.raises(InputError):
        Bucket("az://photos/run", Files(OSError("x")), "photos/run").list()
    assert levels == [logging.CRITICAL]
    assert logger.level == before
