"""Child processes: they always end in a result or a CodecError, and none remains."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eyechart.codecs.process import OUTPUT, ProcessLimits, run
from eyechart.core.errors import CodecError

_OPEN = "import os,signal,sys; out = open(int(sys.argv[1].removeprefix('pipe:')), 'wb', 0); "


def python(script: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _OPEN + script, OUTPUT]


def job(timeout_s: float = 60.0, output_limit_bytes: int = 1 << 20) -> ProcessLimits:
    return ProcessLimits(
        codec="toy", level="7", timeout_s=timeout_s, output_limit_bytes=output_limit_bytes
    )


def test_input_goes_in_and_the_result_comes_out() -> None:
    feed = bytes(range(256)) * 2000
    assert run(python("out.write(sys.stdin.buffer.read()[::-1])"), feed, job()).result == feed[::-1]


def test_notices_on_stdout_are_no_part_of_the_result() -> None:
    done = run(python("print('notice'); out.write(b'stream'); print('bye')"), b"", job())
    assert done.result == b"stream"
    assert done.messages == "notice bye"


def test_a_failure_names_codec_level_and_the_last_message() -> None:
    with pytest.raises(CodecError, match=r"toy level 7: python.* exit code 3: no such chroma"):
        run(python("print('no such chroma'); sys.exit(3)"), b"", job())


def test_a_crash_is_named_by_its_signal() -> None:
    with pytest.raises(CodecError, match="SIGSEGV"):
        run(python("os.kill(os.getpid(), signal.SIGSEGV)"), b"x" * 1_000_000, job())


def test_a_hang_is_ended_with_everything_it_started() -> None:
    script = (
        "reader, writer = os.pipe()\n"
        "if os.fork():\n"
        "    os.close(writer); out.write(b'started'); os.read(reader, 1)\n"
        "else:\n"
        "    signal.pause()"
    )
    with pytest.raises(CodecError, match=r"took more than 0\.5 s") as caught:
        run(python("\n" + script), b"", job(timeout_s=0.5))
    assert caught.value.retryable


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_a_program_that_spins_is_ended_by_its_processor_time() -> None:
    limited = ProcessLimits(codec="toy", timeout_s=300, cpu_limit_s=1)
    with pytest.raises(CodecError, match="may use 1 s of processor time"):
        run(python("\nwhile True: pass"), b"", limited)


def test_a_long_message_keeps_its_head_and_its_end() -> None:
    script = "print('the cause ' + 'x' * 5000 + ' the end'); sys.exit(3)"
    with pytest.raises(CodecError, match=r"the cause .* the end") as caught:
        run(python(script), b"", job())
    assert len(str(caught.value)) < 400


def test_a_program_with_too_much_output_is_ended() -> None:
    script = "\nwhile True: out.write(bytes(65536))"
    with pytest.raises(CodecError, match="wrote more than 1,000,000 bytes"):
        run(python(script), b"", job(output_limit_bytes=1_000_000))


def test_endless_messages_do_not_fill_memory() -> None:
    script = "\nfor _ in range(2000): print('x' * 1000)\nout.write(b'done')"
    done = run(python(script), b"", job())
    assert done.result == b"done"
    assert len(done.messages) < 20_000


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=r"nowhere is not an executable file"):
        run([str(tmp_path / "nowhere")], b"", job())


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    program = tmp_path / "text"
    program.write_text("just text")
    program.chmod(0o755)
    with pytest.raises(CodecError, match="toy level 7"):
        run([str(program)], b"", job())


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("setpriv", [True, False])
def test_a_child_dies_with_its_parent(tmp_path: Path, setpriv: bool) -> None:
    # The child holds a fifo open for writing: its end is the end of the fifo, no need to poll.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    hang = f"fifo = open({str(fifo)!r}, 'wb', 0); fifo.write(b'up'); signal.pause()"
    parent = (
        "import shutil\n"
        f"if not {setpriv}: shutil.which = lambda name: name if '/' in name else None\n"
        "from eyechart.codecs.process import ProcessLimits, run\n"
        f"run({python(hang)!r}, b'', ProcessLimits(codec='toy', timeout_s=300))"
    )
    running = subprocess.Popen([sys.executable, "-c", parent])
    try:
        with fifo.open("rb", 0) as end:
            assert end.read(2) == b"up"
            os.kill(running.pid, signal.SIGKILL)
            ready, _, _ = select.select([end], [], [], 30)
            assert ready, "the child outlived its parent by 30 s"
            assert end.read() == b""
    finally:
        running.kill()
        running.wait()
