"""The root command: help without heavy imports, errors of one line, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from eyechart import cli
from eyechart.core import plugins
from eyechart.core.errors import CodecError, InputError, StoreError

ROOT = Path(__file__).parents[2]


def a_verb(monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> None:
    """`eyechart doctor` that raises."""

    def doctor() -> None:
        if error is not None:
            raise error

    monkeypatch.setattr("eyechart.cli.doctor.doctor", doctor)


def test_help_names_every_verb_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from eyechart.cli import run_args\n"
        "code = run_args(['--help'])\n"
        "heavy = {'torch', 'transformers', 'numpy', 'PIL', 'scipy', 'yaml', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), code)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[] 0"
    for verb in cli.VERBS:
        assert f" {verb} " in found.stdout


def test_nothing_is_imported_before_ctrl_c_is_awaited() -> None:
    code = (
        "import __future__, sys\n"
        "before = set(sys.modules)\n"
        "import eyechart.__main__\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['eyechart', 'eyechart.__main__']"


@pytest.mark.parametrize("verb", sorted(cli.VERBS.keys() - {"adapter"}))
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_args([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"eyechart {verb}" in shown
    assert "<bool>" not in shown  # a flag takes no value


@pytest.mark.parametrize("args", [["-h"], ["run", "-h"], ["codec", "-h"], ["codec", "list", "-h"]])
def test_h_is_help_everywhere(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_args(args) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["check", ""], "argument 2: is empty; allowed: a value (in: check '')"),
        (["table", "bd", "out", "--data", ""], "--data: is empty; allowed: a value"),
        (["table", "bd", "out", "--data="], "--data: its value is empty; allowed: a value, or no"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_args(args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_error_line_is_short_and_shows_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_verb(monkeypatch, InputError("x\x1b[31m" + "y" * 100_000))
    assert cli.run_args(["doctor"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(r"eyechart: x\x1b[31my")
    assert len(line) <= 310


def test_no_verb_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_args([]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (InputError("POPE: no file"), 2),
        (CodecError("broken", codec="vvc", level="42"), 1),
        (StoreError("disk full"), 1),
        (typer.Exit(1), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException | None,
    code: int,
) -> None:
    a_verb(monkeypatch, error)
    assert cli.run_args(["doctor"]) == code
    said = capsys.readouterr().err
    if isinstance(error, InputError | CodecError | StoreError):
        assert said == f"eyechart: {error}\n"
    assert "Traceback" not in said


def test_a_bug_is_one_line_and_its_traceback_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    a_verb(monkeypatch, ZeroDivisionError("by\nzero"))
    assert cli.run_args(["doctor"]) == cli.BUG
    (line,) = capsys.readouterr().err.splitlines()
    (file,) = tmp_path.iterdir()
    assert str(file) in line
    assert "ZeroDivisionError: by zero" in line
    assert "Traceback" in file.read_text()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA out of memory. Tried to allocate 1 GiB"),
    ],
)
def test_a_lack_of_memory_is_one_line_and_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    a_verb(monkeypatch, error)
    assert cli.run_args(["doctor"]) == cli.FAILURES
    (line,) = capsys.readouterr().err.splitlines()
    assert "no memory left" in line


def test_the_traceback_can_be_shown_to_developers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EYECHART_TRACEBACK", "1")
    for error in (ZeroDivisionError(), InputError("no file")):
        a_verb(monkeypatch, error)
        cli.run_args(["doctor"])
        assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], "nope"),
        (["docter"], "doctor"),
        (["run", "--outt", "x"], "--outt"),
        (["run", "--max-images", "many"], "many"),
        (["run", "--max-images", "0"], "max_images"),
        (["run", "no-such-plan.yaml"], "no-such-plan.yaml"),
        (["run", "--codecs", "jpg"], "jpeg"),
        (["run", "--tasks", "PAPE"], "POPE"),
        (["run", "--vlm", "eyechart-mino"], "eyechart-mini"),
        (["plan", "--codecs", "jpeg:q"], "key=value"),
        (["plan", "--vlm", "eyechart-mini:nosuch=1"], "unknown option 'nosuch'; allowed: model"),
        (["run", "--codecs", "jpeg:foo=1"], "unknown option 'foo'; allowed: levels, optimize"),
        (["run", "--tasks", "POPE:foo=1"], "POPE: unknown option 'foo'; allowed: data, file"),
        (["run", "--adapter", "univrsal"], "unknown adapter 'univrsal': no folder here, did you"),
        (["plan", "--adapter", "univrsal"], "did you mean universal?"),
        (["run", "--adapter", "my/own"], "adapter 'my/own': there is no such folder"),
        (["vlm", "ask", "in.png", "Is it?", " "], "an empty question"),
        (["task", "list", "--data", "nope"], "nope (data) does not exist"),
        (["rescore", "no-such-dir"], "no-such-dir"),
        (["rescore"], "DIR"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    args: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run_args(args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("nowhere/o", "there is no folder nowhere"),
        ("/proc/o", "/proc takes no files"),
        ("folder", "is a folder"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "codec encode in.png OUT --codec jpeg --level 1",
        "codec decode in.png OUT --codec jpeg",
        "codec bench . --codec jpeg --json OUT",
        "export tsv POPE --out copies --codecs jpeg --json OUT",
        "score POPE --predictions answers.csv --json OUT",
    ],
)
def test_a_file_that_cannot_be_written_is_bad_input_before_any_work(
    command: str,
    out: str,
    why: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert cli.run_args([out if word == "OUT" else word for word in command.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()  # and not that the input is missing
    assert line.startswith(f"eyechart: {out}: ")
    assert why in line
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


@pytest.mark.parametrize(
    ("package", "how"),
    [
        ("peft", "pip install 'eyechart[adapter]'"),
        ("safetensors", "pip install 'eyechart[vlm]'"),
        ("unheard_of", "pip install unheard_of"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, how: str
) -> None:
    a_verb(monkeypatch, ModuleNotFoundError(f"No module named {package!r}", name=package))
    assert cli.run_args(["doctor"]) == 2
    assert capsys.readouterr().err == f"eyechart: needs the package {package}; {how}\n"


def test_every_extra_that_is_advised_installs_its_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    def requirements(extra: str) -> list[str]:
        """Those of an extra and of the extras that it names."""
        own: list[str] = extras[extra]
        named = [name for one in own for name in re.findall(r"^eyechart\[([\w,]+)\]", one)]
        below = [name for names in named for name in names.split(",")]
        return [*own, *(one for name in below for one in requirements(name))]

    for package, extra in plugins.EXTRAS.items():
        required = [requirement.replace("-", "_") for requirement in requirements(extra)]
        assert any(requirement.startswith(package) for requirement in required)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from eyechart import __version__

    assert cli.run_args(["--version"]) == 0
    assert capsys.readouterr().out == f"eyechart {__version__}\n"


def test_ctrl_c_while_python_ends_changes_neither_code_nor_output() -> None:
    script = (
        "import atexit, os, signal, sys\n"
        "from eyechart.__main__ import main\n"
        "interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "class Last:\n"
        "    def __del__(self, interrupt=interrupt): interrupt()\n"
        "last = Last()\n"
        "atexit.register(interrupt)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv = ['eyechart', '--version']\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("eyechart ")
