"""`eyechart run` says what a large plan would ask of a server before it asks anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eyechart.cli import run_args
from tests.vlms.chat_server import completion, serve

MOST = 20


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two images, uncompressed and at two levels."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setattr("eyechart.cli.run.MOST_QUESTIONS", MOST)
    plan = ["run", "--out", str(tmp_path / "out"), "--workers", "0", "--no-report"]
    return [*plan, "--tasks", "POPE", "--max-images", "2", "--codecs", "jpeg:levels=[10,50]"]


def test_too_many_questions_to_a_server_are_refused_before_any_is_asked(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(lambda body: completion("Yes")) as server:
        counts = []
        for model, cost in (("gpt-4o", r" \(about \$[\d.]+( to \$[\d.]+)?\)"), ("toy", "")):
            vlm = ["--vlm", f"openai:model={model},base_url={server.url}"]
            assert run_args([*given, *vlm]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            found = re.search(rf"would ask {model} (\d+) questions{cost}; more than {MOST} ", line)
            assert found is not None
            assert line.endswith("questions to a server need --yes")
            counts.append(int(found[1]))
        assert not (tmp_path / "out").exists()
        assert not server.asked
        first = [*given[:-1], "jpeg:50"]  # with the uncompressed images two thirds of the plan
        assert run_args([*first, *vlm, "--yes"]) == 0
        asked = len(server.asked)
        assert 3 * asked == 2 * counts[-1] > 2 * MOST
        assert run_args([*given, *vlm]) == 0  # the questions that are left are few enough
        assert len(server.asked) == counts[-1]


def test_a_vlm_of_this_machine_may_be_asked_any_number(given: list[str]) -> None:
    assert run_args([*given, "--vlm", "eyechart-mini-s", "--device", "cpu"]) == 0
