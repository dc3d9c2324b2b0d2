"""Broken, ambiguous and oddly named plug-ins, in distributions that are really installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eyechart.api.listing import list_vlms
from eyechart.cli import run_args
from eyechart.core import plugins
from eyechart.core.errors import BrokenPluginError, InputError, PluginError
from eyechart.runner import readiness
from eyechart.vlms import open_vlm
from tests.installed import Distribution, eyechart_in, install

PLUGINS = """
from collections.abc import Sequence
from typing import Literal

class Greedy:
    'Its options have the names of the parameters of those who open it.'
    name, version, family, headline_metric, levels = "greedy", "1", "default", "none", ()
    def __init__(self, *, name="", group="", device="", adapter="", data=None):
        self.options = {"name": name, "group": group, "device": device, "adapter": adapter}

class Strict:
    name, version, options, levels = "strict", "1", {}, ()
    def __init__(self, *, count: int = 1, rate: float = 1.0, tags: Sequence[int] = (),
                 mode: Literal["a", "b"] = "a", text: str | None = None, flag: bool = False,
                 anything: "NotImported" = None):
        self.given = count, rate, tags, mode, text, flag, anything

class Typed:
    name, version, options, levels = "typed", "1", {}, ()
    def __init__(self, *, count: int = 1, rate: float = 1.0, tags: Sequence[int] = (),
                 mode: Literal["a", "b"] = "a", text: str | None = None, flag: bool = False):
        self.given = count, rate, tags, mode, text, flag

class Raises:
    def __init__(self, **options):
        raise ZeroDivisionError("first line\\n  second line")
"""
MEMBERS = """
from eyechart.core.types import Level
from eyechart.vlms import Family, KnownVLM

def fail(*args):
    raise ZeroDivisionError("by design")

class Codec:
    name, version, options = "mine", "1", {}
    levels = (Level(name="only", rank=0, knobs={}),)
    encode = decode = fail

class Levels(Codec):
    levels = property(fail)

class Check(Codec):
    reproducible, check, load = "bitwise", fail, fail

class Reproducible(Codec):
    load = fail
    def check(self): pass

class Version(Codec):
    version = property(fail)

class Questions:
    name, version, options, headline_metric = "mine", "1", {}, "none"
    questions = fail

class Settings:
    name, version, options, family = "mine", "1", {}, "default"
    answer = for_task = fail

class Identity(Settings):
    version = property(fail)

KNOWN = Family(open=Settings, known=None)
ALIASES = Family(open=Settings, aliases="text")
READY = Family(open=Settings, known=(KnownVLM(name="loud"),), why_not_ready=fail)
LOST = Family(open=Settings, known=(KnownVLM(name="lost", plugin="not-registered"),))
"""
BROKEN = {
    "needs_missing": "import a_package_that_is_missing\n",
    "has_bug": "1 / 0\n",
    "leaves": "raise SystemExit(3)\n",
    "wrong_syntax": "def (:\n",
}
KINDS = ("codecs", "tasks", "vlms")


def entry_points(prefix: str, points: Mapping[str, str]) -> dict[str, dict[str, str]]:
    named = {f"{prefix}{name}": target for name, target in points.items()}
    return {f"eyechart.{kind}": named for kind in KINDS}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    good = {name: f"good_plugins:{name.capitalize()}" for name in ("greedy", "strict", "typed")}
    bad = {name.replace("_", "-"): f"{name}:Thing" for name in BROKEN}
    bad |= {"raises": "good_plugins:Raises", "no-such-name": "good_plugins:Nothing"}
    return install(
        tmp_path_factory.mktemp("third-party"),
        Distribution(
            name="good-plugins",
            files={"good_plugins.py": PLUGINS},
            entry_points=entry_points("", good),
        ),
        Distribution(
            name="bad-plugins",
            files={f"{name}.py": text for name, text in BROKEN.items()},
            entry_points=entry_points("bad-", bad),
        ),
        Distribution(
            name="bad-members",
            files={"bad_members.py": MEMBERS},
            entry_points={
                "eyechart.codecs": {
                    "m-levels": "bad_members:Levels",
                    "m-check": "bad_members:Check",
                    "m-reproducible": "bad_members:Reproducible",
                    "m-version": "bad_members:Version",
                },
                "eyechart.tasks": {"m-questions": "bad_members:Questions"},
                "eyechart.vlms": {
                    "m-settings": "bad_members:Settings",
                    "m-identity": "bad_members:Identity",
                },
                "eyechart.families": {
                    "f-known": "bad_members:KNOWN",
                    "f-aliases": "bad_members:ALIASES",
                    "f-ready": "bad_members:READY",
                    "f-lost": "bad_members:LOST",
                },
            },
        ),
        Distribution(
            name="takes-names",
            version="2.5",
            files={"takes_names.py": "class Other:\n    pass\n"},
            entry_points={
                "eyechart.codecs": {"jpeg": "takes_names:Other"},
                "eyechart.tasks": {"POPE": "takes_names:Other"},
                "eyechart.families": {"internvl3": "takes_names:Other"},
            },
        ),
    )


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)


@pytest.mark.parametrize(
    ("command", "works", "taken"),
    [
        (("codec", "list"), "webp", "jpeg"),
        (("task", "list"), "SEEDBench", "POPE"),
        (("vlm", "list"), "eyechart-mini", "internvl3"),
    ],
)
def test_a_list_has_one_line_for_each_broken_plug_in_and_all_others(
    site: Path, command: tuple[str, ...], works: str, taken: str
) -> None:
    listed = eyechart_in(site, *command)
    assert (listed.returncode, listed.stderr) == (0, "")
    shown = " ".join(listed.stdout.split())
    for name, why in {
        "bad-needs-missing": "needs the package a_package_that_is_missing",
        "bad-has-bug": "ZeroDivisionError: division by zero",
        "bad-leaves": "SystemExit: 3",
        "bad-wrong-syntax": "SyntaxError: ",
        "bad-raises": "ZeroDivisionError: first line second line",
        "bad-no-such-name": "AttributeError: ",
        taken: "is registered by eyechart ",
    }.items():
        assert f"{name} " in shown
        assert why.replace(" ", "") in shown.replace(" ", "")  # the column may be narrow
    assert works in shown
    assert "greedy" in shown


@pytest.mark.usefixtures("installed")
def test_a_broken_family_is_one_line_and_hides_no_vlm() -> None:
    problems = {vlm.name: vlm.problem for vlm in list_vlms()}
    assert problems["f-known"] == "field known of this family is None"
    assert problems["f-aliases"] == "field aliases of this family is 'text'"
    assert problems["loud"] == "f-ready: ZeroDivisionError: by design"
    assert problems["lost"].startswith("unknown vlm 'not-registered'")
    assert problems["eyechart-mini"] == ""
    assert open_vlm("eyechart-mini").name == "eyechart-mini"
    states = {result.name: result.state for result in readiness.vlms()}
    assert (states["f-known"], states["loud"]) == ("broken", "broken")
    assert states["eyechart-mini"] == "ready"


RUN = "run --vlm {vlm} --codecs {codec} --tasks {task} --data eyechart-mini --out out"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("codec", "m-levels"),
        ("codec", "m-check"),
        ("codec", "m-reproducible"),
        ("codec", "m-version"),
        ("task", "m-questions"),
        ("vlm", "m-settings"),
        ("vlm", "m-identity"),
        ("bench", "m-levels"),
        ("bench", "m-check"),
        ("bench", "m-reproducible"),
        ("bench", "m-version"),
    ],
)
def test_a_member_that_raises_is_one_line_about_its_plug_in_and_nothing_is_written(
    command: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"vlm": "eyechart-mini", "codec": "source", "task": "SEEDBench", command: name}
    args = f"codec bench . --codec {name}" if command == "bench" else RUN.format(**names)
    assert run_args(args.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line or (command, "mine" in line) == ("bench", True)
    assert "ZeroDivisionError: by design" in line or "has no attribute 'reproducible'" in line
    assert list(tmp_path.iterdir()) == []


def test_doctor_calls_them_broken_and_looks_at_everything_else(site: Path) -> None:
    done = eyechart_in(site, "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    shown = " ".join(done.stdout.split())
    assert "bad-has-bug broken ZeroDivisionError: division by zero" in shown
    assert "bad-needs-missing missing needs the package" in shown
    assert "jpeg broken" in shown
    assert "webp ready" in shown
    assert "optional packages" in shown


@pytest.mark.usefixtures("installed")
def test_a_name_that_two_distributions_register_is_refused_and_both_are_named() -> None:
    with pytest.raises(BrokenPluginError) as raised:
        plugins.load("eyechart.codecs", "jpeg")
    line = str(raised.value)
    assert line.startswith("jpeg: this codec is registered by eyechart ")
    assert line.endswith(" and takes-names 2.5; uninstall all but one")
    assert plugins.load("eyechart.codecs", "webp").name == "webp"
    assert plugins.names("eyechart.codecs").count("jpeg") == 1


@pytest.mark.usefixtures("installed")
def test_a_distribution_with_unreadable_metadata_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "scrambled-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scrambled\nVersion: 1\n")
    (metadata / "entry_points.txt").write_bytes(b"[eyechart.codecs]\nno equals sign\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"webp", "greedy"} <= set(plugins.names("eyechart.codecs"))


def test_what_is_installed_and_removed_while_a_process_runs_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plugins.names("eyechart.codecs")
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    assert plugins.names("eyechart.codecs") == before
    os.utime(site, (0, 0))  # or a file system may give the same time to both changes
    made = tmp_path / "late-1.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1\n")
    (made / "entry_points.txt").write_text("[eyechart.codecs]\nlate = late:Codec\n")
    made = made.rename(site / made.name)
    assert plugins.names("eyechart.codecs") == sorted([*before, "late"])
    os.utime(site, (0, 0))
    made.rename(tmp_path / made.name)
    assert plugins.names("eyechart.codecs") == before


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", KINDS)
def test_options_may_have_the_names_of_the_loaders_parameters(kind: Any) -> None:
    options = {"name": "a", "group": "b", "device": "c", "adapter": "d"}
    assert plugins.load(f"eyechart.{kind}", "greedy", options).options == options


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "args",
    [
        "codec bench . --codec greedy:{}=x",
        "run --vlm greedy:{}=x --codecs source --tasks POPE --out out",
    ],
)
@pytest.mark.parametrize("option", ["name", "group", "device"])
def test_the_command_line_passes_such_options_on(
    args: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_args(args.format(option).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no image" in line or "POPE: this task is registered by" in line


def test_an_adapter_is_not_an_option_of_a_vlm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = f"run --vlm eyechart-mini:adapter=x --out {tmp_path / 'out'} --tasks POPE"
    assert run_args(args.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "name an adapter separately" in line


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("count", "abc", "a whole number"),
        ("count", 1.5, "a whole number"),
        ("count", True, "a whole number"),
        ("count", None, "a whole number"),
        ("rate", "fast", "a number"),
        ("tags", 3, "a list of whole numbers"),
        ("tags", "123", "a list of whole numbers"),
        ("tags", [1, "x"], "a list of whole numbers"),
        ("mode", "c", "a, b"),
        ("text", 444, "text or null"),
        ("flag", "yes", "true or false"),
    ],
)
def test_a_value_of_a_wrong_kind_names_the_option_and_what_is_allowed(
    kind: Any, option: str, value: Any, allowed: str
) -> None:
    with pytest.raises(PluginError) as raised:
        plugins.load(f"eyechart.{kind}", "typed", {option: value})
    assert str(raised.value) == f"typed: option {option} is {value!r}; allowed: {allowed}"


@pytest.mark.usefixtures("installed")
def test_values_of_the_right_kind_arrive() -> None:
    given = {"count": 2, "rate": 3, "tags": [1], "mode": "b", "text": "t", "flag": True}
    assert plugins.load("eyechart.codecs", "typed", given).given == (2, 3, [1], "b", "t", True)


@pytest.mark.usefixtures("installed")
def test_annotations_that_do_not_resolve_allow_everything() -> None:
    assert plugins.load("eyechart.codecs", "strict", {"count": "abc"}).given[0] == "abc"


@pytest.mark.parametrize(
    "command",
    [
        "codec show jpeg:levels=[10],levels=[30]",
        "plan --vlm eyechart-mini:dtype=float32,dtype=float64",
        "run --codecs jpeg:levels=[10],levels=[30] --out {out}",
        "plan --tasks POPE:data=a,data=b",
    ],
)
def test_an_option_that_is_given_twice_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(command.format(out=tmp_path / "out").split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is given twice" in line


@pytest.mark.usefixtures("installed")
def test_an_unknown_option_lists_the_allowed_ones() -> None:
    with pytest.raises(PluginError) as raised:
        plugins.load("eyechart.codecs", "typed", {"colour": 1})
    allowed = "count, rate, tags, mode, text, flag"
    assert str(raised.value) == f"typed: unknown option 'colour'; allowed: {allowed}"


@pytest.mark.parametrize("spec", ["hevc:timeout_s=abc", "vvc:levels=abc", "jpegxl:effort=high"])
def test_built_in_options_of_a_wrong_kind_are_one_line(spec: str) -> None:
    name, options = plugins.parse_spec(spec)
    with pytest.raises(InputError) as raised:
        plugins.load("eyechart.codecs", name, options)
    assert "allowed" in str(raised.value)


def test_a_long_value_does_not_fill_the_error_line() -> None:
    with pytest.raises(PluginError) as raised:
        plugins.load("eyechart.codecs", "hevc", {"timeout_s": "x" * 100_000})
    assert len(str(raised.value)) < 150
