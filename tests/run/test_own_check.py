"""`eyechart check`: own images, with and without known answers."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eyechart.cli import run_args
from eyechart.core.records import Record
from eyechart.store import Store
from eyechart.store.timings import read_timings
from eyechart.tasks.own_images import OwnImages
from eyechart.vlms.openai_chat import OpenAIChat
from tests.vlms.chat_server import Reply, about_a_ramp, completion, error, serve

SMALLER = "eyechart-mini:max_pixels=3136"  # another VLM than without the option


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(2):
        Image.linear_gradient("L").rotate(90 * n).resize((56, 56)).save(folder / f"{n}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def check(photos: Path, out: Path, *more: str) -> int:
    given = ["check", str(photos), "--out", str(out), "--codecs", "jpeg:levels=[5,90]"]
    return run_args([*given, "--workers", "0", "--device", "cpu", *more])


def test_without_answers_the_vlm_is_compared_with_itself(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert check(photos, out) == 0
    shown = capsys.readouterr()
    assert "left out: 1 file that cannot be read" in shown.err
    assert "Reference: what the VLM says about the uncompressed image" in shown.out
    with (out / "questions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows[:6]] == ["describe", "objects", "text"] * 2
    assert {row["category"] for row in rows[6:]} <= {"probe"}
    cells = {cell.cell.codec.name: cell.records() for cell in Store(out).cells()}
    said = {record.question_id: record.answer.strip() for record in cells["source"]}
    assert [row["answer"] for row in rows] == [said[str(n)] for n in range(len(rows))]
    assert all(record.value == 1 for record in cells["source"])  # the VLM is deterministic
    assert run_args(["recommend", str(out), "--tolerate", "5"]) == 0
    assert "jpeg" in capsys.readouterr().out
    kept = (out / "recommendation.json").read_bytes()
    for wrong in (
        ("--front", str(tmp_path / "none" / "f.svg")),
        ("--front", str(tmp_path / "f.bmp")),
        ("--times", str(tmp_path / "f.bmp")),
        ("--bandwidth", ""),
    ):
        assert run_args(["recommend", str(out), "--tolerate", "7", *wrong]) == 2
        assert capsys.readouterr().out == ""
        assert (out / "recommendation.json").read_bytes() == kept
    assert run_args(["report", str(out)]) == 0
    assert "no setting is shown to lose at most 5 points yet" in (out / "report.html").read_text()
    assert check(photos, out) == 0  # nothing is asked again
    assert run_args(["table", "scores", str(out)]) == 0
    assert "OwnImages: scores of every cell" in capsys.readouterr().out


def test_the_first_images_of_a_questions_file_keep_all_their_questions(
    photos: Path, tmp_path: Path
) -> None:
    asked, out = tmp_path / "asked.csv", tmp_path / "out"
    rows = ("0.png,Is there a dog?", "1.png,Is there a dog?", "0.png,Is it dark?")
    asked.write_text("\n".join(("image,question", *rows)))
    assert check(photos, out, "--questions", str(asked), "--max-images", "1") == 0
    (cell,) = Store(out / "reference").cells()
    said = [record.answer.strip() for record in cell.records()]
    questions = OwnImages(str(out)).questions()
    assert [question.text for question in questions] == ["Is there a dog?", "Is it dark?"]
    assert [question.answer for question in questions] == said


def test_sentences_after_the_table_are_as_wide_as_the_terminal(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("COLUMNS", "60")
    asked = tmp_path / "asked.csv"
    asked.write_text("image,question,answer\n0.png,Is it dark?,yes\n")
    assert check(photos, out, "--questions", str(asked)) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(
        place for place, line in enumerate(lines) if line.startswith("Own files: 1 file of")
    )
    assert max(len(line) for line in lines[first:] if str(out) not in line) <= 60


def test_known_answers_are_the_reference(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("image,question,answer\n0.png,Is it dark?,maybe\n1.png,What is it?,a ramp\n")
    out = tmp_path / "out"
    assert check(photos, out, "--questions", str(asked)) == 0
    assert not (out / "reference").exists()
    assert [question.answer for question in OwnImages(str(out)).questions()] == ["maybe", "a ramp"]
    assert check(photos, out, "--questions", str(asked), "--vlm", SMALLER) == 0
    assert capsys.readouterr().out.count(": loss of the mean score") == 3  # of one VLM, of both


def test_known_answers_and_those_of_the_vlm_are_told_apart(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(2):  # JPEG before, which the table of scores says
        Image.linear_gradient("L").resize((56, 56)).save(photos / f"{n}.jpg", quality=80)
    asked = tmp_path / "asked.csv"
    asked.write_text("image,question,answer\n0.jpg,Is it dark?,never\n1.jpg,Is it dark?,\n")
    out = tmp_path / "out"
    assert check(photos, out, "--questions", str(asked)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "known answers of 1 question; on the uncompressed images 0.0 % of them" in shown
    assert (
        "uncompressed image (1 question). Asked again, the VLM agrees with itself to 100" in shown
    )
    assert run_args(["table", "scores", str(out)]) == 0
    legend = " ".join(capsys.readouterr().out.split())
    assert "2 of 2 uncompressed images are JPEG files of quality 80" in legend


def test_a_server_with_other_answers_each_time_has_a_noise_floor_for_known_answers_too(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    asked, out = tmp_path / "asked.csv", tmp_path / "out"
    asked.write_text("image,question,answer\n0.png,Is it dark?,yes\n1.png,Is it dark?,yes\n")

    def differs(body: dict[str, Any]) -> Reply:
        return completion("No" if len(server.asked) == 1 else "Yes")

    with serve(differs) as server:
        given = ["--vlm", f"openai:model=m,base_url={server.url},concurrency=1"]
        given += ["--questions", str(asked)]
        assert check(photos, out, *given) == 0
        assert len(server.asked) == 2 * (1 + 3)  # once more about the uncompressed images
    floor = "are right. Asked again, the VLM agrees with itself to 50.0 %"
    assert floor in " ".join(capsys.readouterr().out.split())
    assert run_args(["recommend", str(out)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "known answers of 2 questions; on the uncompressed images 100.0 % of them" in shown
    assert floor in shown
    assert check(photos, out, *given) == 0  # a finished check needs no server


def test_agreement_is_also_shown_by_the_rule_of_the_comparison(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, out = tmp_path / "asked.csv", tmp_path / "out"
    rows = ("0.png,Is it dark?,yes", "1.png,Is it dark?,no", "1.png,What is it?,a ramp")
    asked.write_text("\n".join(("image,question,answer", *rows)))
    assert check(photos, out, "--questions", str(asked)) == 0
    capsys.readouterr()
    assert run_args(["recommend", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "agreement: with the known answers" in shown
    assert "Answers are compared by: the same yes or no (2), the same words (1)." in shown
    cells = [cell for cell in Store(out).cells() if cell.cell.codec.name != "source"]
    table = shown[shown.index("agreement in % by the rule of the comparison") :]
    for cell in cells:
        values = [
            record.value for record in sorted(cell.records(), key=lambda one: one.question_id)
        ]
        yes_no, words = 50 * sum(values[:2]), 100 * values[2]
        (row,) = re.findall(rf"^ +{cell.cell.level.name} +([\d.]+) +([\d.]+)$", table, re.M)
        assert [float(figure) for figure in row] == [yes_no, words]
    assert run_args(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "the same yes or no (2)" in page
    assert "Reference: known answers of 3 questions" in page


def test_a_server_that_ends_midway_keeps_its_answers(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    asked = tmp_path / "asked.csv"
    asked.write_text("image,question\n0.png,Is it dark?\n1.png,What is it?\n")
    out = tmp_path / "out"

    def ends(body: dict[str, Any]) -> Reply:
        return completion("a ramp") if len(server.asked) <= 5 else error(500)

    with serve(ends) as server:
        vlm = f"openai:model=m,base_url={server.url},retries=0,concurrency=1"
        given = ["--questions", str(asked), "--vlm", vlm]
        assert check(photos, out, *given) == 1
        kept = sum(len(cell.records()) for cell in Store(out).cells())
        assert kept
        server.asked.clear()
        server.reply = lambda body: completion("a ramp")
        assert check(photos, out, *given) == 0
        assert len(server.asked) == 6 - kept  # 2 questions at 3 settings
    shown = capsys.readouterr().out
    assert "the VLM agrees with itself to 100.0 %" in " ".join(shown.split())


@pytest.mark.parametrize(
    "given",
    [
        ("vlm", "ask", "photos", "what?"),
        ("run", "--data", "photos", "--tasks", "POPE"),
        ("run", "--data", "asked.csv", "--tasks", "POPE"),
        ("run", "--tasks", "asked.csv"),
    ],
)
def test_other_commands_name_the_check(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("asked.csv").write_text("image,question\n0.png,Is it dark?\n")
    assert run_args(list(given)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "eyechart check" in line
    assert not Path("out").exists()


def test_too_many_questions_are_refused_before_any_is_asked(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    vlm = "openai:model=gpt-4o,base_url=http://127.0.0.1:9/v1"
    codecs = f"jpeg:quality={[*range(1, 101)]},long_side={[*range(10, 210)]}".replace(" ", "")
    given = ["check", str(photos), "--out", str(tmp_path / "out"), "--vlm", vlm]
    assert run_args([*given, "--codecs", codecs]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "20,001 settings x 6 questions are 120,006 questions to gpt-4o, about $" in line
    assert "need --yes" in line
    given[-1] = "openai:model=toy,base_url=http://127.0.0.1:9/v1"
    for prices, cost in ((), ""), (("--usd-per-million", "2.5,10"), ", about $"):
        assert run_args([*given, "--codecs", codecs, *prices]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"are 120,006 questions to toy{cost}" in line
        assert ("$" in line) == bool(cost)
    assert not (tmp_path / "out").exists()


def test_behind_a_server_visual_tokens_are_those_of_a_model_that_is_named(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    asked, out = tmp_path / "asked.csv", tmp_path / "out"
    asked.write_text("image,question\n0.png,Is it dark?\n1.png,What is it?\n")
    save = ["recommend", str(out), "--tolerate", "99", "--save"]

    def records() -> list[Record]:
        return [record for cell in Store(out).cells() for record in cell.records()]

    with serve(lambda body: completion("a ramp")) as server:
        vlm = f"openai:model=toy,base_url={server.url}"
        given = ["--questions", str(asked), "--usd-per-million", "2,10", "--vlm", vlm]
        assert check(photos, out, *given) == 0
        # A completion of `chat_server` reports 100 tokens in and 2 out.
        assert {(one.visual_tokens, one.input_tokens) for one in records()} == {(0, 100)}
        assert run_args([*save, "usd"]) == 0
        assert "0.22" in capsys.readouterr().out  # (100 * 2 + 2 * 10) / 1e6, for 1,000 questions
        for refused in ([*save, "tokens"], ["table", "bd", str(out), "--axis", "tokens"]):
            assert run_args(refused) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert "the visual tokens of its VLM are unknown" in line
            assert "image_tokens=gpt-4o" in line
        count = len(server.asked)
        given[-1] += ",image_tokens=gpt-4o"
        assert check(photos, out, *given) == 0
        assert len(server.asked) == count
        for _ in range(2):
            assert {(one.visual_tokens, one.input_tokens) for one in records()} == {(255, 100)}
            assert run_args([*save, "tokens"]) == 0
            given[-1] = vlm  # without the option what is stored stays
            assert check(photos, out, *given) == 0


def test_another_check_in_the_directory_is_refused_and_changes_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("image,question,answer\n0.png,Is it dark?,maybe\n")
    out = tmp_path / "out"
    assert check(photos, out) == 0
    before = contents(out)
    for more, says in (
        (("--max-images", "1"), "other questions"),
        (("--vlm", SMALLER), "another VLM"),
        (("--questions", str(asked)), "other questions"),
    ):
        capsys.readouterr()
        assert check(photos, out, *more) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
        assert contents(out) == before


def test_the_directory_of_another_run_is_refused_and_changes_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ["run", "--out", str(out), "--tasks", "POPE", "--codecs", "source", "--no-report"]
    assert run_args([*given, "--max-images", "1", "--workers", "0", "--device", "cpu"]) == 0
    before = contents(out)
    assert check(photos, out) == 2
    assert "choose another run directory" in capsys.readouterr().err
    assert contents(out) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("questions", "more", "says"),
    [
        ("image,question\nno.png,What?\n", (), "line 2: image 'no.png' is not in"),
        ("image;question\n0.png;a\nx.png;b\nx.png;c\ny.png;d\n", (), "; 2 images of the file are"),
        ("image,text\n0.png,What?\n", (), "no column 'question'; its columns: image, text"),
        ("image,question,question\n0.png,a,b\n", (), "more than one column 'question'"),
        ("image,question\n0.png,\n", (), "line 2 has no question"),
        ("image,question\n", (), "no questions"),
        (None, ("--vlm", "no-such-vlm"), "no-such-vlm"),
        (None, ("--vlm", "openai:model=m,base_url=http://127.0.0.1:9/v1,retries=0"), "be reached"),
        ("image,question\ndamaged.png,What?\n", (), "line 2: image 'damaged.png' cannot be"),
        (None, ("--codecs", "nope"), "nope"),
        (None, ("--codecs", ","), "codecs: none is given; allowed: names of"),
        (None, ("--codecs", ""), "--codecs: is empty; allowed: a value (in: check "),
        (None, ("--codec-device", "nope"), "device 'nope': 'nope' is not one; allowed: auto,"),
        (None, ("--codec-device", "map"), "device 'map' is for VLMs"),
        (None, ("--max-images", "0"), "0"),
        (None, ("--tolerate", "101"), "tolerance 101; allowed"),
        (None, ("--usd-per-gb", "-1"), "price -1; allowed: US dollars per GB, from 0"),
        (None, ("--usd-per-million", "2.5"), "--usd-per-million '2.5'; allowed: two numbers"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    photos: Path,
    tmp_path: Path,
    questions: str | None,
    more: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    (photos / "damaged.png").write_bytes(b"no image")
    if questions is not None:
        (tmp_path / "asked.csv").write_text(questions)
        more = (*more, "--questions", str(tmp_path / "asked.csv"))
    assert check(photos, tmp_path / "out", *more) == 2
    shown = capsys.readouterr().err.strip()
    assert says in shown
    assert "\n" not in shown
    assert not (tmp_path / "out").exists()


def test_prices_that_cannot_be_read_are_found_before_anything_is_asked(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: OpenAIChat) -> None:
        raise RuntimeError("no prices")

    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setattr(OpenAIChat, "usd_per_million", property(broken))
    with serve(about_a_ramp) as server:
        assert check(photos, tmp_path / "out", "--vlm", f"openai:model=m,base_url={server.url}")
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_target_that_an_image_cannot_reach_counts_as_a_loss(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.effect_noise((56, 56), 90).save(photos / "noise.png")
    out = tmp_path / "out"
    for _ in range(2):  # the second call asks nothing
        assert check(photos, out, "--codecs", "jpeg:target_bpp=[2]", "--tolerate", "90") == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "over 3 images" in said
        assert "JPEG 2bpp failed on 1 of 3 images: these count as lost." in said


@pytest.mark.parametrize("behind_a_server", [False, True])
def test_the_time_of_the_own_files_and_of_uncompressed_images_is_known(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    behind_a_server: bool,
) -> None:
    """Also of a setting at which an image fails."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    Image.effect_noise((56, 56), 90).save(photos / "noise.png")
    out = tmp_path / "out"
    with serve(about_a_ramp) as server:
        vlm = f"openai:model=m,base_url={server.url}" if behind_a_server else "eyechart-mini"
        assert check(photos, out, "--vlm", vlm, "--codecs", "jpeg:target_bpp=[2]") == 1
    timings = read_timings(out)
    for cell in Store(out).cells():
        assert timings[cell.key].answered
        assert timings[cell.key].encoded
    capsys.readouterr()
    times = tmp_path / "times.svg"
    given = [
        "recommend",
        str(out),
        "--tolerate",
        "9",
        "--bandwidth",
        "0.5,2",
        "--times",
        str(times),
    ]
    assert run_args(given) == 0
    shown = capsys.readouterr().out
    table = shown[shown.index("seconds from image to answer") :]
    assert table.index("own files") < table.index("uncompressed") < table.index("2bpp")
    assert "Without a time" not in shown
    assert "own files" in times.read_text()


def test_a_folder_without_images_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty", tmp_path / "out") == 2
    assert "holds no image" in capsys.readouterr().err


def test_images_that_cannot_be_read_are_left_out_and_counted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "a.png").write_bytes(b"no image")
    (damaged / "b.jpg").touch()
    assert check(damaged, tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{damaged}: none of its 2 images can be read; the first: {damaged}/a.png" in line
    assert not (tmp_path / "out").exists()
    (photos / "damaged.png").write_bytes(b"no image")
    assert check(photos, tmp_path / "out", "--codecs", "jpeg:30") == 0
    *asking, line = capsys.readouterr().err.splitlines()
    assert all(said.startswith("asking eyechart-mini-s ") for said in asking)
    assert line == f"{photos}: left out: 2 files that cannot be read as an image"  # beside a text
