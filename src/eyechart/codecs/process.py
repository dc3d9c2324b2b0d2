"""Running an encoder or decoder as a child process with limits of time and output.

A child reads its input from stdin and writes its result to a separate pipe, because some encoders
print notices on stdout, which would be counted as rate. It is ended when it takes too long, when it
writes too much, and when this process dies.

Linux and macOS; on Windows, where children inherit no pipes, `run` raises CodecError.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from eyechart.core.errors import CodecError, InputError

OUTPUT = "{output}"  # placeholder in a command for the path of the child's end of the pipe
_LONGEST_TIMEOUT_S = 1_000_000  # timers do not take much more
_TAIL_BYTES = 16_384  # how much of the child's messages is kept
_SHOWN_CHARS = 270  # how much of them is shown in an error

# For a Linux without a setpriv that knows --pdeathsig: ask the kernel, then become the child.
_LAUNCHER = (
    "import ctypes,os,signal,sys;"
    "ctypes.CDLL(None).prctl(1,signal.SIGKILL,0,0,0);"  # 1 = PR_SET_PDEATHSIG
    "os.execv(sys.argv[1],sys.argv[1:])"
)


def checked_timeout_s(codec: str, timeout_s: float) -> float:
    """A time limit in seconds that a user gave. Raises InputError."""
    if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
        raise InputError(
            f"{codec}: timeout_s {timeout_s:g}; allowed: above 0, to {_LONGEST_TIMEOUT_S:,} seconds"
        )
    return timeout_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """Limits of a process, and its codec, level and image for error messages.

    cpu_limit_s: processor time, on Linux. It can be lower than `timeout_s`, because it does not
    depend on how busy the machine is.
    """

    codec: str
    level: str = ""
    timeout_s: float
    cpu_limit_s: int | None = None
    output_limit_bytes: int = 1 << 20

    def error(self, message: str, *, retryable: bool = False) -> CodecError:
        """The error of this job, with its codec and level."""
        return CodecError(message, codec=self.codec, level=self.level, retryable=retryable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Output of a process: its result, and the end of its messages (stdout and stderr)."""

    result: bytes
    messages: str


def run(command: Sequence[str], feed: bytes, job: ProcessLimits) -> Output:
    """Run `command` with `feed` on its stdin; its result is what it writes to `OUTPUT`.

    The child leads its own session, so that it is ended together with its own children. On
    Linux the kernel kills it when this process dies (PR_SET_PDEATHSIG, set by util-linux'
    setpriv: `preexec_fn` is not safe with threads). On macOS an orphan ends when it next
    reads or writes a pipe.

    Raises:
        CodecError: not found, crash, hang, non-zero exit, result over the limit.
    """
    if sys.platform == "win32":
        raise job.error("external encoders run on Linux and macOS only")
    program = shutil.which(command[0])
    if program is None:
        raise job.error(f"{command[0]} is not an executable file")
    read_end, write_end = os.pipe()
    arguments = [f"pipe:{write_end}" if part == OUTPUT else part for part in command[1:]]
    with os.fdopen(read_end, "rb") as results:
        try:
            child = subprocess.Popen(
                [*_kill_with_parent(), program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        except OSError as error:
            raise job.error(f"{program} cannot be started ({error.strerror})") from error
        finally:
            os.close(write_end)
        if job.cpu_limit_s is not None and sys.platform == "linux":
            import resource  # not on Windows

            with suppress(ProcessLookupError):  # it has ended already
                resource.prlimit(child.pid, resource.RLIMIT_CPU, (job.cpu_limit_s,) * 2)
        with child:
            return _watch(child, results, feed, job, Path(program).name)


def _watch(
    child: subprocess.Popen[bytes],
    results: IO[bytes],
    feed: bytes,
    job: ProcessLimits,
    program: str,
) -> Output:
    """Feed and read a running child until it ends. Raises CodecError."""
    late = threading.Event()
    tail = bytearray()

    def end_late() -> None:
        late.set()
        _end(child)

    alarm = threading.Timer(job.timeout_s, end_late)
    helpers = [
        threading.Thread(target=_feed, args=(_pipe(child.stdin), feed)),
        threading.Thread(target=_keep_tail, args=(_pipe(child.stdout), tail)),
    ]
    try:
        for thread in (alarm, *helpers):
            thread.daemon = True
            thread.start()
        result = results.read(job.output_limit_bytes + 1)
        too_much = len(result) > job.output_limit_bytes
        if too_much:
            _end(child)
        # Wait without reaping: until it is reaped, the process number is surely the child's.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    finally:
        alarm.cancel()
        if alarm.ident is not None:
            alarm.join()
        _end(child)  # the child's own children, and the child after an interruption
        status = child.wait()
    for thread in helpers:
        thread.join()
    messages = " ".join(tail.decode("utf-8", "replace").split())
    if late.is_set():
        raise job.error(f"{program} took more than {job.timeout_s:g} s", retryable=True)
    if too_much:
        raise job.error(f"{program} wrote more than {job.output_limit_bytes:,} bytes")
    if job.cpu_limit_s is not None and status in (-signal.SIGXCPU, -signal.SIGKILL):
        # At the hard limit the kernel sends SIGKILL.
        raise job.error(f"{program} was ended; it may use {job.cpu_limit_s} s of processor time")
    if status != 0:
        message = f"{program} {_ending(status)}: {_shortened(messages) or 'no message'}"
        # A SIGKILL from elsewhere is usually the kernel's, because memory ran out.
        raise job.error(message, retryable=status == -signal.SIGKILL)
    return Output(result=result, messages=messages)


def _shortened(messages: str) -> str:
    """The start, where ffmpeg names the cause, and the end, where other programs do."""
    if len(messages) <= _SHOWN_CHARS:
        return messages
    return f"{messages[: _SHOWN_CHARS * 2 // 3]} ... {messages[-_SHOWN_CHARS // 3 :]}"


def _feed(stdin: IO[bytes], data: bytes) -> None:
    # A child may end before it has read everything; its exit status is checked later.
    with suppress(BrokenPipeError), stdin:
        stdin.write(data)


def _keep_tail(pipe: IO[bytes], tail: bytearray) -> None:
    while chunk := os.read(pipe.fileno(), _TAIL_BYTES):
        tail += chunk
        del tail[:-_TAIL_BYTES]


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for a zombie
        os.killpg(child.pid, signal.SIGKILL)


def _ending(status: int) -> str:
    if status >= 0:
        return f"failed with exit code {status}"
    known = {item.value: item.name for item in signal.Signals}
    return f"was ended by {known.get(-status, f'signal {-status}')}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # Popen was asked for it
    return pipe


@cache
def _kill_with_parent() -> tuple[str, ...]:
    """Prefix of a command, so that the kernel kills it when this process dies."""
    if sys.platform != "linux":
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv:
        usage = subprocess.run([setpriv, "--help"], capture_output=True, check=False, timeout=10)
        if b"--pdeathsig" in usage.stdout:
            return (setpriv, "--pdeathsig", "KILL", "--")
    return (sys.executable, "-I", "-S", "-c", _LAUNCHER)
