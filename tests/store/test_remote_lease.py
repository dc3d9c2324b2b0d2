"""The right to write to a URL."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from eyechart.store.lease import HeldError
from eyechart.store.remote_lease import RemoteLease

EVERY_S = 2.0


class FakeBucket:
    """Objects in memory."""

    url = "s3://bucket/run"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        if name not in self.objects:
            raise FileNotFoundError(name)
        return self.objects[name]

    def write(self, name: str, data: bytes, *, new: bool = False) -> None:
        if new and name in self.objects:
            raise FileExistsError(name)
        self.objects[name] = data

    def delete(self, names: list[str]) -> None:
        for name in names:
            self.objects.pop(name, None)


def lease(bucket: Any, sleep: Callable[[float], None] = lambda seconds: None) -> RemoteLease:
    return RemoteLease(bucket, EVERY_S, sleep)


def on_another_machine(bucket: FakeBucket) -> None:
    value = {**json.loads(bucket.objects[RemoteLease.NAME]), "machine": "elsewhere", "process": 7}
    bucket.objects[RemoteLease.NAME] = json.dumps(value).encode()


def test_it_is_released() -> None:
    bucket = FakeBucket()
    with lease(bucket).taken(wait=False, note=print):
        assert bucket.objects
    assert not bucket.objects


def test_a_living_holder_is_named() -> None:
    bucket = FakeBucket()
    first = lease(bucket)
    with (
        first.taken(wait=False, note=print),
        pytest.raises(HeldError, match=r"s3://bucket/run: in use by process \d+ on "),
        lease(bucket, lambda seconds: first.renew()).taken(wait=False, note=print),
    ):
        pass
    assert not bucket.objects


def test_a_holder_without_signs_of_life_is_replaced_and_notices() -> None:
    bucket, slept = FakeBucket(), []
    first, second = lease(bucket), lease(bucket, slept.append)
    notes: list[str] = []
    with first.taken(wait=False, note=print):
        on_another_machine(bucket)
        with second.taken(wait=False, note=notes.append):
            assert sum(slept) >= 2 * EVERY_S
            assert "process 7 on elsewhere" in notes[0]
            first.renew()
            assert first.lost
            second.renew()
            assert not second.lost


def test_a_holder_that_has_ended_on_this_machine_is_replaced_at_once() -> None:
    bucket, slept = FakeBucket(), []
    with lease(bucket).taken(wait=False, note=print):
        value = {**json.loads(bucket.objects[RemoteLease.NAME]), "process": 2**22 + 1}
        bucket.objects[RemoteLease.NAME] = json.dumps(value).encode()
        with lease(bucket, slept.append).taken(wait=False, note=print):
            assert slept == []


def test_waiting_ends_when_the_holder_releases_it() -> None:
    bucket = FakeBucket()
    first = lease(bucket)
    with first.taken(wait=False, note=print):
        pulses = iter([first.renew, first.renew, bucket.objects.clear])
        with lease(bucket, lambda seconds: next(pulses)()).taken(wait=True, note=print):
            assert next(pulses, None) is None


def test_a_damaged_object_is_replaced() -> None:
    bucket = FakeBucket()
    bucket.objects[RemoteLease.NAME] = b"\xff"
    with lease(bucket).taken(wait=False, note=print):
        assert json.loads(bucket.objects[RemoteLease.NAME])["token"]


def test_it_is_not_taken_twice_where_the_condition_of_a_new_object_is_ignored() -> None:
    class Careless(FakeBucket):
        def write(self, name: str, data: bytes, *, new: bool = False) -> None:
            super().write(name, data)

    bucket = Careless()
    first = lease(bucket)
    with (
        first.taken(wait=False, note=print),
        pytest.raises(HeldError),
        lease(bucket, lambda seconds: first.renew()).taken(wait=False, note=print),
    ):
        pass
    assert not first.lost
