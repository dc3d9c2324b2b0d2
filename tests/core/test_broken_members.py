"""A member of a plug-in that raises costs one line that names the plug-in, and no other plug-in.

`broken_toys` is installed as a distribution. $BROKEN names the member that raises.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from eyechart.cli import run_args
from eyechart.core.errors import BrokenPluginError
from tests.installed import Distribution, install

TOYS = Path(__file__).with_name("broken_toys.py").read_text(encoding="utf-8")
CHART = "--data eyechart-mini --max-images 2"
PLAN = f"--vlm toy-vlm --tasks toy-task,POPE --codecs toy-codec,toy-neural {CHART}"
RUN = f"run {PLAN} --no-report --workers 0 --out"
OTHERS = (
    f"run --vlm toy-vlm --tasks POPE --codecs jpeg:levels=[10] {CHART} --no-report --workers 0"
    " --out run"
)
BENCH = (
    "codec bench photos --codec {},jpeg:levels=[10,30] --metrics ms-ssim,toy-metric --json b.json"
)
TASK_COMMANDS = (
    f"plan {PLAN}",
    f"{RUN} new",
    f"{RUN} new --choice-set",
    f"encode --tasks toy-task,POPE --codecs toy-codec {CHART} --workers 0 --out new",
    OTHERS,
    "table scores run",
    "report run --fresh",
    "rescore run",
    "export records run new.csv",
    "runs compare run whole",
    "runs merge run whole --out new",
    "task list",
    "task show toy-task",
    "score toy-task --predictions predictions.csv",
)
CODEC_COMMANDS = (
    f"plan {PLAN}",
    f"{RUN} new",
    OTHERS,
    "table scores run",
    "codec list",
    BENCH.format("{name}"),
    "codec show {name}",
    "codec check {name}",
    "codec encode photos/a.png new.bin --codec {name} --level only",
    "codec decode toy.bin new.png --codec {name}",
    "export tsv POPE:max_images=1 --codecs {name} --data eyechart-mini --out new --workers 0",
)
VLM_COMMANDS = (
    f"plan {PLAN}",
    f"{RUN} new",
    "table scores run",
    "vlm list",
    "vlm ask photos/a.png what --vlm toy-vlm",
    "vlm ask photos/a.png what --vlm toy-known",
)
METRIC_COMMANDS = (
    f"{BENCH.format('toy-codec')} --against jpeg:levels=[10,30]",
    "report run --fresh",
)
MEMBERS = {
    "task": "name version options headline_metric questions image check_images prompt"
    " max_new_tokens choices chance data_file score summarize image_sums headline",
    "codec": "name version options levels level_at encode decode bitstream_from_payload"
    " adapted_from category",
    "neural": "name version options levels reproducible check load adapted_from",
    "loaded": "encode decode estimate_bits close",
    "vlm": "name version options family questions_at_once address spent_usd check for_task"
    " estimate_usd answer",
    "family": "open why_not_ready prompts",
    "metric": "name version unit higher_is_better measure decibels",
}
COMMANDS = {
    "task": TASK_COMMANDS,
    "codec": CODEC_COMMANDS,
    "neural": CODEC_COMMANDS,
    "loaded": CODEC_COMMANDS,
    "vlm": VLM_COMMANDS,
    "family": VLM_COMMANDS,
    "metric": METRIC_COMMANDS,
}
NAMES = {"codec": "toy-codec", "neural": "toy-neural", "loaded": "toy-neural"}
# Names in messages, if not toy-KIND.
SAID = {"family": ("toy-family", "toy-known"), "vlm": ("toy-vlm", "toy-known")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    toys = {
        "eyechart.codecs": {"toy-codec": "broken_toys:Codec", "toy-neural": "broken_toys:Neural"},
        "eyechart.tasks": {"toy-task": "broken_toys:Task"},
        "eyechart.vlms": {"toy-vlm": "broken_toys:Vlm"},
        "eyechart.families": {"toy-family": "broken_toys:FAMILY"},
        "eyechart.metrics": {"toy-metric": "broken_toys:Metric"},
        "eyechart.injections": {"toy-injection": "broken_toys:Injection"},
    }
    return install(
        tmp_path_factory.mktemp("toys"),
        Distribution(name="toys", files={"broken_toys.py": TOYS}, entry_points=toys),
        Distribution(
            name="takes-psnr",
            files={"takes_psnr.py": "class Psnr:\n    pass\n"},
            entry_points={"eyechart.metrics": {"psnr": "takes_psnr:Psnr"}},
        ),
    )


@pytest.fixture(scope="module")
def made(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of working toys, a photo, a payload and predictions."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "photos").mkdir()
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(folder / "photos" / "a.png")
    (folder / "predictions.csv").write_text("index,prediction\n0,Yes\n1,No\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(site)
        patch.setattr("os.fsync", lambda descriptor: None)
        assert run_args(f"{RUN} whole".split()) == 0
        encode = "codec encode photos/a.png toy.bin --codec toy-codec --level only"
        assert run_args(encode.split()) == 0
    return folder


@pytest.fixture
def workplace(
    site: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return monkeypatch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "member"), [(kind, name) for kind, text in MEMBERS.items() for name in text.split()]
)
def test_every_command_ends_in_lines_that_name_the_plug_in(
    kind: str, member: str, workplace: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = SAID.get(kind, (NAMES.get(kind, f"toy-{kind}"),))
    workplace.setenv("BROKEN", f"{kind}.{member}")
    for command in COMMANDS[kind]:
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("whole", "run")
        code = run_args(command.format(name=names[0]).split())
        out, err = capsys.readouterr()
        where = f"{command}: {code}\n{out}\n{err}"
        assert code in (0, 1, 2), where
        if not command.startswith("codec check"):  # its report may not know the name
            assert not code or any(name in out + err for name in names), where
        errors = [line for line in err.splitlines() if not line.startswith("asking ")]
        assert code != 2 or len(errors) == 1, where
        if command.startswith("table"):
            assert "POPE" in out, where
        for left in Path().glob("new*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def test_a_task_that_fails_is_left_out_of_tables_and_the_report_until_it_works(
    workplace: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.setenv("BROKEN", "task.summarize")
    assert run_args(["report", "whole"]) == 1
    line = "eyechart: task left out: toy-task: ZeroDivisionError: by design\n"
    assert capsys.readouterr().err == line
    page = Path("whole/report.html").read_text(encoding="utf-8")
    assert "Not in this report, because its task failed: toy-task" in page
    workplace.delenv("BROKEN")
    assert run_args(["report", "whole"]) == 0
    assert capsys.readouterr().err == ""
    assert "because its task failed" not in Path("whole/report.html").read_text(encoding="utf-8")


def test_a_task_tells_which_file_it_reads_and_where_a_missing_one_is_published(
    workplace: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["task", "show", "toy-task"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "broken_toys.py (data)" in shown
    assert "languages en, de" in shown
    assert "the official file: https://toys.example/toys.tsv (700 rows, md5 0)" in shown
    workplace.setenv("TOY_FILE", "missing.tsv")
    assert run_args(["task", "list"]) == 0
    assert "toys.tsv: get it from https://toys.example/toys.tsv" in capsys.readouterr().out
    assert run_args(f"plan {PLAN}".split()) == 0
    assert "the official file's size" in capsys.readouterr().out


@pytest.mark.usefixtures("workplace")
def test_an_injection_or_tower_that_fails_is_one_line() -> None:
    pytest.importorskip("torch")
    from eyechart.adapters.injection import make_injection
    from eyechart.adapters.towers import tower_of

    unused: Any = None
    with pytest.raises(BrokenPluginError, match=r"^toy-injection: ZeroDivisionError: by design$"):
        make_injection("toy-injection", unused, rows=3)
    model = SimpleNamespace(config=SimpleNamespace(model_type="toy-type"))
    with pytest.raises(BrokenPluginError, match=r"^toy-family: ZeroDivisionError: by design$"):
        tower_of(model)


def test_a_prompt_that_fails_ends_no_other_task(
    workplace: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.setenv("BROKEN", "task.prompt")
    assert run_args(f"{RUN} new".split()) == 1
    assert "9 questions failed" in capsys.readouterr().err
    assert run_args(["table", "scores", "new"]) == 0
    assert "POPE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("category", "'best'"),
        ("adapted_from", "3"),
        ("options", "{'a': object()}"),
        ("levels", "(Level(name='only', rank='low', knobs={}),)"),
    ],
)
def test_a_value_that_no_run_directory_can_hold_is_refused_before_there_is_one(
    member: str, value: str, workplace: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import broken_toys  # type: ignore[import-not-found]

    workplace.setattr(broken_toys.Codec, member, eval(value, vars(broken_toys)))
    assert run_args(f"{RUN} new".split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "toy-codec: " in line
    assert not Path("new").exists()
