"""The `eyechart` command. Each verb is imported when it is called; errors become one line.

Exit codes: 0 done; 1 finished with failures; 2 bad input; 130 stopped by Ctrl-C; 70 a bug.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from eyechart.cli.console import error_line, make_printable
from eyechart.core.errors import (
    LONGEST_LINE,
    EyechartError,
    InputError,
    StoppedError,
    one_line,
)
from eyechart.core.files import refuse_url
from eyechart.core.memory import is_out_of_memory

DONE, FAILURES, BAD_INPUT, STOPPED, BUG = 0, 1, 2, 130, 70
# Of a path that was given: the user can change it. All others are of the disk or the machine.
_OF_INPUT = frozenset(
    {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR}
)
_LONGEST_COMMAND = 4000  # of one with a command that the user is to copy

# verb -> (where it is defined, its help line), in the order of the help.
VERBS = {
    "run": ("eyechart.cli.run:run", "Run a plan; print its tables and write a report."),
    "encode": ("eyechart.cli.run:encode", "Encode a plan's images ahead of its VLMs."),
    "plan": ("eyechart.cli.run:plan", "Estimate what a plan would cost; run nothing."),
    "quality": ("eyechart.cli.quality:quality", "Measure the quality of a run's decoded images."),
    "report": ("eyechart.cli.report:report", "Write the HTML report of a run."),
    "table": (
        "eyechart.cli.tables:table",
        "Print a table of a run: bd, scores, gap, adapter, icm, pairs, scaling, quality, ...",
    ),
    "findings": ("eyechart.cli.report:findings", "The paper's five findings, and this run."),
    "figure": ("eyechart.cli.report:figure", "Draw a figure of the paper from a run."),
    "check": (
        "eyechart.cli.check:check",
        "Ask a VLM about your images: how far to compress?",
    ),
    "recommend": (
        "eyechart.cli.recommend:recommend",
        "The cheapest safe setting of a run.",
    ),
    "score": ("eyechart.cli.score:score", "Score answers that another tool produced."),
    "bd": ("eyechart.cli.tables:bd", "BD-Metric and BD-rate of curves in CSV files."),
    "export": (
        "eyechart.cli.export:app",
        "Task files for other tools; records as a table.",
    ),
    "codec": (
        "eyechart.cli.codec:app",
        "Codecs: list, show, check, encode, bench, train, add, ...",
    ),
    "vlm": ("eyechart.cli.vlm:app", "VLMs: list, ask."),
    "serve": ("eyechart.cli.serve:serve", "Serve a VLM at an OpenAI-style address."),
    "task": ("eyechart.cli.task:app", "Tasks: list, show."),
    "adapter": ("eyechart.cli.adapter:app", "Adapters: train, list, export."),
    "paper": ("eyechart.cli.paper:app", "The paper's published numbers: show, bd, diff."),
    "runs": ("eyechart.cli.runs:app", "Run directories: compare, merge, drop."),
    "rescore": ("eyechart.cli.run:rescore", "Score a run's stored answers again."),
    "doctor": (
        "eyechart.cli.doctor:doctor",
        "Check what works on this machine and how to get what is missing.",
    ),
}


class _Verb(TyperCommand):
    """A verb that is imported when it is called; until then it has only a name and a help line."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        command = _load(VERBS[str(self.name)][0])
        command.name = self.name
        return command.make_context(info_name, args, *rest, **extra)


class _Verbs(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            from eyechart.core.plugins import near

            raise InputError(f"unknown command {cmd_name!r}; {near(cmd_name, list(VERBS))}")
        return _Verb(name=cmd_name, help=VERBS[cmd_name][1])


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return _with_plain_help(typer.main.get_group(found))
    alone = typer.Typer(add_completion=False)
    alone.command()(found)
    return _with_plain_help(typer.main.get_command(alone))


def _with_plain_help(command: Any) -> Any:
    """The command with `-h`, without a type (`<bool>`) in the help of its flags, and without URLs
    for its paths."""
    names = ["-h", "--help"]
    command.context_settings["help_option_names"] = names
    for parameter in command.get_params(typer.Context(command, help_option_names=names)):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.callback is None:
            parameter.callback = _local
    for below in getattr(command, "commands", {}).values():
        _with_plain_help(below)
    return command


def _local(ctx: Any, parameter: Any, value: Any) -> Any:
    """The value of a parameter. One that can be a URL is a text, no `Path`. Raises InputError."""
    if isinstance(value, Path):
        refuse_url(value)
    return value


app = typer.Typer(cls=_Verbs, add_completion=False, rich_markup_mode="rich")


def _print_version(wanted: bool) -> None:
    if wanted:
        from eyechart.core.version import VERSION

        print(f"eyechart {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Measure how well vision-language models see compressed images."""


def _with_addresses(args: Sequence[str]) -> list[str]:
    """The arguments with `--ray local` for a `--ray` without an address, which the parser does not
    know."""
    given = list(args)
    for place in reversed(range(len(given))):
        alone = place + 1 == len(given) or given[place + 1].startswith("-")
        if given[place] == "--ray" and alone:
            given.insert(place + 1, "local")
    return given


def _refuse_empty(args: Sequence[str]) -> None:
    """Raise InputError for an empty argument, as of an unset variable of a shell. As a path it
    would be the current folder."""
    for place, text in enumerate(args):
        option, equals, value = text.partition("=")
        if equals and not value and option.startswith("--"):
            raise InputError(f"{option}: its value is empty; allowed: a value, or no {option}")
        if not text:
            before = args[place - 1] if place else ""
            what = before if before.startswith("-") else f"argument {place + 1}"
            raise InputError(f"{what}: is empty; allowed: a value (in: {shlex.join(args)})")


def run_args(args: list[str]) -> int:
    """Run the command line and return the exit code. Any error is one line on stderr."""
    make_printable(sys.stdout)
    make_printable(sys.stderr)
    try:
        _refuse_empty(args)
        code = _with_plain_help(typer.main.get_command(app)).main(
            args=_with_addresses(args) or ["--help"],
            prog_name="eyechart",
            standalone_mode=False,
            obj=tuple(args),
        )
        if code == STOPPED:  # what the parser makes of Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else DONE
    except StoppedError as error:
        _say(str(error), _LONGEST_COMMAND)
        return STOPPED
    except EyechartError as error:
        if os.environ.get("EYECHART_TRACEBACK"):
            _print_traceback()
        _say(str(error))
        return BAD_INPUT if isinstance(error, InputError) else FAILURES
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped")
        return STOPPED
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "eyechart"):
            return _bug(error)
        from eyechart.core.plugins import how_to_install

        _say(f"needs the package {package}; {how_to_install(package)}")
        return BAD_INPUT
    except BrokenPipeError:  # `eyechart ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        if error.errno is None:
            return _bug(error)
        _say(f"{error.filename or 'a file'}: cannot be used ({error.strerror})")
        return BAD_INPUT if error.errno in _OF_INPUT else FAILURES
    except Exception as error:  # noqa: BLE001 - users see one line, never a traceback
        usage = getattr(error, "format_message", None)
        if usage is not None:  # an error of the parser: unknown option, missing argument
            if message := usage().strip():  # if empty, it has printed the help
                _say(f"{message} (in: eyechart {' '.join(args)})")
            return BAD_INPUT
        if is_out_of_memory(error):
            _say("no memory left; smaller images and smaller batches need less")
            return FAILURES
        return _bug(error)


def _say(text: str, longest: int = LONGEST_LINE) -> None:
    error_line(f"eyechart: {text}", longest)


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _bug(error: Exception) -> int:
    import tempfile
    import traceback

    if os.environ.get("EYECHART_TRACEBACK"):
        traceback.print_exc()
        where = "above"
    else:
        with tempfile.NamedTemporaryFile(
            "w", prefix="eyechart-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exc(file=file)
        where = f"in {file.name}"
    _say(f"a bug: {one_line(error, 120)} (the traceback is {where}; please report it)")
    return BUG
