"""Worker processes: results, errors, deaths, and an end that never hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from eyechart.core.errors import CodecError, WorkerDiedError
from eyechart.core.pool import WorkerPool
from eyechart.core.workers import CPU, DEVICE, SerialExecutor, worker_device

LONG_S = 60


def double(value: int) -> int:
    return 2 * value


def fail(message: str) -> None:
    raise CodecError(message, codec="toy", level="1")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    threading.Event().wait()


def process_id() -> int:
    return os.getpid()


def half_a_result(size: int) -> bytes:
    """A result of which the worker sends the first half and dies."""

    def send(pipe: Connection, message: bytes) -> None:
        if len(message) < size:  # the length of the message comes first
            os.write(pipe.fileno(), message)
        else:
            os.write(pipe.fileno(), message[: size // 2])
            die()

    Connection._send = send  # type: ignore[attr-defined]
    return bytes(size)


def unpicklable() -> object:
    return lambda: None


def test_calls_give_results_and_errors_in_any_executor() -> None:
    for executor in (SerialExecutor(), WorkerPool(2)):
        futures = [executor.submit(CPU, double, value) for value in range(20)]
        assert [future.result(LONG_S) for future in futures] == [2 * value for value in range(20)]
        with pytest.raises(CodecError, match="toy level 1: broken") as caught:
            executor.submit(CPU, fail, "broken").result(LONG_S)
        assert caught.value.level == "1"
        executor.close()


def test_a_worker_that_dies_ends_its_own_call_alone() -> None:
    pool = WorkerPool(2)
    futures: list[Future[int | None]] = []
    for place in range(12):
        futures.append(pool.submit(CPU, die) if place % 4 == 1 else pool.submit(CPU, double, place))
    for place, future in enumerate(futures):
        if place % 4 == 1:
            with pytest.raises(WorkerDiedError):
                future.result(LONG_S)
        else:
            assert future.result(LONG_S) == 2 * place
    pool.close()


def test_a_worker_that_dies_while_it_sends_leaves_no_open_future() -> None:
    pool = WorkerPool(1)
    for _ in range(2):
        with pytest.raises(WorkerDiedError):
            pool.submit(CPU, half_a_result, 1_000_000).result(LONG_S)
        assert pool.submit(CPU, double, 4).result(LONG_S) == 8
    pool.close()


def test_state_stays_in_a_worker_and_devices_have_their_own() -> None:
    pool = WorkerPool(1, ("cuda:7",))
    first = pool.submit(CPU, process_id).result(LONG_S)
    assert pool.submit(CPU, process_id).result(LONG_S) == first != os.getpid()
    assert pool.submit(DEVICE, process_id).result(LONG_S) != first
    assert pool.submit(DEVICE, worker_device).result(LONG_S) == "cuda:7"
    pool.close()


def test_a_call_that_exits_is_an_error_of_its_call() -> None:
    pool = WorkerPool(1)
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        pool.submit(CPU, sys.exit, 3).result(LONG_S)
    assert pool.submit(CPU, double, 4).result(LONG_S) == 8
    pool.close()


def test_a_result_that_cannot_travel_is_an_error_of_its_call() -> None:
    pool = WorkerPool(1)
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        pool.submit(CPU, unpicklable).result(LONG_S)
    assert pool.submit(CPU, double, 4).result(LONG_S) == 8
    pool.close()


def test_closing_ends_hanging_calls_and_waiting_ones() -> None:
    pool = WorkerPool(1)
    worker = pool.submit(CPU, process_id).result(LONG_S)
    futures = [pool.submit(CPU, hang) for _ in range(3)]
    pool.close()
    for future in (*futures, pool.submit(CPU, double, 1)):
        with pytest.raises(WorkerDiedError):
            future.result(LONG_S)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


SCRIPT = """
import math
from eyechart.core.pool import WorkerPool
from eyechart.core.workers import CPU

print("the script runs")
pool = WorkerPool(2)
print([future.result() for future in [pool.submit(CPU, math.sqrt, n) for n in (4, 9, 16)]])
pool.close()
"""


def test_a_script_is_not_run_again_in_the_workers_it_starts(tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # without `if __name__ == "__main__"`
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "the script runs\n[2.0, 3.0, 4.0]\n"
