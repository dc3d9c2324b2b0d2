"""Cells, records and failures in a run directory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.core.errors import InputError, StoreError
from eyechart.core.identity import canonical_json
from eyechart.core.records import Cell, CodecFacts, Failure, Record
from eyechart.core.types import Component, Decoding, Level
from eyechart.store import RunDirError, RunInfo, Store, TaskSize


def a_cell(**changes: object) -> Cell:
    cell = Cell(
        task=Component(name="POPE", version="1", options={"data": "abc"}),
        codec=Component(name="jpeg", version="1", options={"optimize": True}),
        level=Level(name="3", rank=1, knobs={"quality": 3}),
        vlm=Component(name="mini", version="1"),
        adapter=None,
        decoding=Decoding(max_new_tokens=8),
    )
    return dataclasses.replace(cell, **changes)  # type: ignore[arg-type]


def a_record(question_id: str, **changes: object) -> Record:
    record = Record(
        question_id=question_id,
        image="img",
        answer="Yes.",
        value=1.0,
        parsed_answer="yes",
        parsed=True,
        payload_bytes=623,
        height_px=224,
        width_px=224,
    )
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def a_failure(question_id: str, message: str = "boom") -> Failure:
    return Failure(
        question_id=question_id,
        image="img",
        stage="answer",
        kind="VLMError",
        message=message,
        retryable=True,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "run")
    made.create()
    return made


def test_a_cell_round_trips(store: Store) -> None:
    cells = [a_cell(), a_cell(adapter=Component(name="a", version="2", options={"x": [1, None]}))]
    for cell in cells:
        store.add(cell)
        store.add(cell)
    assert {found.key for found in store.cells()} == {store.add(cell).key for cell in cells}
    assert [found.cell.adapter for found in store.cells()] == [None, cells[1].adapter]


def test_a_levels_identity_does_not_depend_on_its_list(store: Store) -> None:
    alone = a_cell(level=Level(name="3", rank=0, knobs={"quality": 3}))
    assert store.add(a_cell()).path == store.add(alone).path
    assert len(store.cells()) == 1
    finer = a_cell(level=Level(name="3", rank=1, knobs={"quality": 3, "fine": True}))
    assert store.add(finer).key != store.add(alone).key


def test_a_directory_of_another_format_is_refused_in_one_line(store: Store) -> None:
    path = store.root / "run.json"
    path.write_text(path.read_text().replace('"format":2', '"format":1'))
    with pytest.raises(RunDirError, match="written in format 1, this version reads format 2; run"):
        Store(store.root).require()


def test_a_cell_that_is_not_its_folders_is_refused(store: Store) -> None:
    one, other = store.add(a_cell()), store.add(a_cell(task=Component(name="GQA", version="1")))
    here, there = one.path / "cell.json", other.path / "cell.json"
    swapped = here.read_bytes(), there.read_bytes()
    there.write_bytes(swapped[0])
    here.write_bytes(swapped[1])
    with pytest.raises(StoreError, match=r"cell\.json: describes another cell than its folder"):
        store.cells()


def test_the_token_limit_of_the_last_plan_counts(store: Store) -> None:
    limits = [store.add(a_cell(decoding=Decoding(max_new_tokens=limit))) for limit in (8, 1024)]
    new = limits[1]
    free = store.add(a_cell(decoding=Decoding(max_new_tokens=8, choice_set=True)))
    store.make_current([new])
    assert {stored.key for stored in store.cells()} == {new.key, free.key}


@given(answer=st.text(st.characters(codec=None)))
def test_any_answer_text_round_trips(tmp_path_factory: pytest.TempPathFactory, answer: str) -> None:
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    stored = store.add(a_cell())
    record = a_record("1", answer=answer, parsed_answer=answer)
    clean = dataclasses.replace(record, answer=_utf8(answer), parsed_answer=_utf8(answer))
    stored.append_records([record])
    assert stored.records() == [clean]


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def test_records_are_ordered_and_each_question_counts_once(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_records([a_record("10"), a_record("9")])
    stored.append_records([a_record("10", answer="again")])
    assert [(r.question_id, r.answer) for r in stored.records()] == [("9", "Yes."), ("10", "Yes.")]


def test_an_answer_ends_a_failure(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_failures([a_failure("1", "first"), a_failure("2"), a_failure("1", "second")])
    stored.append_records([a_record("2")])
    assert [(f.question_id, f.message) for f in stored.failures()] == [("1", "second")]


def test_a_torn_record_is_dropped_and_the_next_one_is_kept(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_records([a_record("1"), a_record("2")])
    path = stored.path / "records.jsonl"
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for size in range(first, len(data)):
        path.write_bytes(data[:size])
        assert [r.question_id for r in stored.records()] == ["1"]
        stored.recover()
        stored.append_records([a_record("3")])
        assert [r.question_id for r in stored.records()] == ["1", "3"]


def test_a_damaged_line_is_named(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_records([a_record("1"), a_record("2")])
    path = stored.path / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"image"', b'"imago"', 1))
    with pytest.raises(StoreError, match=r"records\.jsonl: line 1 is damaged"):
        stored.records()


def test_a_changed_character_in_any_record_is_noticed(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_records([a_record("1")])
    path = stored.path / "records.jsonl"
    line = path.read_bytes()
    for place in range(len(line) - 1):
        path.write_bytes(line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :])
        with pytest.raises(StoreError, match="damaged"):
            stored.records()


def test_ids_of_thousands_of_digits_are_ordered_like_texts(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_records([a_record("9" * 5000), a_record("10"), a_record("9")])
    assert [record.question_id for record in stored.records()] == ["9" * 5000, "9", "10"]


def test_records_without_their_cell_are_named(store: Store) -> None:
    stored = store.add(a_cell())
    (stored.path / "cell.json").unlink()
    assert store.cells() == []  # a kill may leave a folder without anything
    store.add(a_cell()).append_records([a_record("1")])
    (stored.path / "cell.json").unlink()
    with pytest.raises(StoreError, match=r"has records but no cell\.json"):
        store.cells()


def test_records_of_another_cell_are_refused(store: Store) -> None:
    stored, other = store.add(a_cell()), store.add(a_cell(decoding=Decoding(max_new_tokens=9)))
    stored.append_records([a_record("1")])
    (stored.path / "records.jsonl").replace(other.path / "records.jsonl")
    with pytest.raises(StoreError, match=r"line 1 is damaged .*another cell's"):
        other.records()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "null"),
        ("value", "NaN"),
        ("value", "1e999"),
        ("answer", "null"),
        ("parsed", "1"),
        ("payload_bytes", "null"),
        ("payload_bytes", "-1"),
        ("height_px", "0"),
        ("width_px", '"5"'),
        ("question_id", "[" * 9999),
    ],
)
def test_a_value_of_a_wrong_kind_in_a_record_is_named(store: Store, field: str, value: str) -> None:
    stored = store.add(a_cell())
    record = json.loads(canonical_json(a_record("1")))
    stored.append_records([a_record("0")])
    with (stored.path / "records.jsonl").open("a") as file:
        file.write(json.dumps({**record, field: "HERE"}).replace('"HERE"', value) + "\n")
    with pytest.raises(StoreError, match=r"records\.jsonl: line 2 is damaged") as caught:
        stored.records()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"rank":1', '"rank":null'),
        ('"rank":1', '"rank":NaN'),
        ('"bitwise"', "null"),
        ('"quality":3', '"quality":NaN'),
        ('"quality":3', f'"quality":{"3" * 5000}'),
        ('"adapter":null', '"adapter":[]'),
        ('"cell":{', '"cell":null,"more":{'),
    ],
)
def test_a_value_of_a_wrong_kind_in_a_cell_is_named(store: Store, old: str, new: str) -> None:
    path = store.add(a_cell()).path / "cell.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(StoreError, match=r"cell\.json: (damaged|describes another cell)"):
        store.cells()


def test_the_version_that_the_last_plan_asked_for_counts(store: Store) -> None:
    old = store.add(a_cell(codec=Component(name="jpeg", version="1")))
    store.make_current([old])
    new = store.add(a_cell(codec=Component(name="jpeg", version="2")))
    store.make_current([new])
    other = store.add(a_cell(codec=Component(name="jpeg", version="1", options={"q": 1})))
    assert {stored.key for stored in store.cells()} == {new.key, other.key}
    store.make_current([old])  # the first version is installed again
    assert {stored.key for stored in store.cells()} == {old.key, other.key}
    (store.root / "current.json").unlink()
    with pytest.raises(StoreError, match="two versions of one cell; run the plan again"):
        store.cells()


def test_the_training_of_an_adapter_that_the_last_plan_asked_for_counts(store: Store) -> None:
    def tuned(version: str) -> Cell:
        return a_cell(adapter=Component(name="universal", version=version))

    plain, old, new = store.add(a_cell()), store.add(tuned("a")), store.add(tuned("b"))
    store.make_current([plain, old])
    store.make_current([plain, new])
    assert {stored.key for stored in store.cells()} == {plain.key, new.key}


def test_a_cell_that_is_empty_after_a_power_cut_is_made_again(store: Store) -> None:
    stored = store.add(a_cell())
    stored.append_records([a_record("1")])
    (stored.path / "cell.json").write_bytes(b"")
    with pytest.raises(StoreError, match=r"cell\.json: empty, .*; run the plan again"):
        store.cells()
    store.add(a_cell())
    (again,) = store.cells()
    assert [record.question_id for record in again.records()] == ["1"]


def test_new_cells_wait_for_the_disk_once_they_have_answers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: waits.append("a file"))
    monkeypatch.setattr("eyechart.store.cells.sync_file", lambda path: waits.append(path.name))
    stored = store.add(a_cell())
    stored.ask(TaskSize(questions=2, images=1))
    assert waits == []
    stored.append_records([a_record("1")])
    stored.sync()
    assert waits == ["cell.json", "asked.json", "records.jsonl", "failures.jsonl"]
    stored.sync()
    assert waits[4:] == ["records.jsonl", "failures.jsonl"]


def test_facts_of_a_codec_are_remembered(store: Store) -> None:
    facts = CodecFacts(reproducible="per device", adapted_from="base", category="generative")
    stored = store.add(a_cell(), facts)
    assert [cell.facts for cell in store.cells()] == [facts]
    path = stored.path / "cell.json"
    text = path.read_text().replace('"adapted_from":"base",', "")
    path.write_text(text.replace('"category":"generative",', ""))
    (older,) = store.cells()
    assert older.facts == CodecFacts(reproducible="per device")


def test_a_damaged_fact_is_named(store: Store) -> None:
    stored = store.add(a_cell(), CodecFacts(adapted_from="base"))
    path = stored.path / "cell.json"
    path.write_text(path.read_text().replace('"base"', "3"))
    with pytest.raises(StoreError, match="adapted_from is 3"):
        store.cells()


def test_a_fingerprint_changes_with_all_that_an_analysis_is_made_from(store: Store) -> None:
    stored = store.add(a_cell())
    wrong = a_record("1", value=0.0)
    steps: list[Callable[[], object]] = [
        lambda: stored.append_records([a_record("1")]),
        lambda: stored.replace_records([wrong]),
        lambda: stored.append_failures([a_failure("2")]),
        lambda: stored.ask(TaskSize(questions=2, images=1)),
        lambda: store.write_info(RunInfo(title="other")),
        lambda: store.note_command("eyechart run quick"),
        lambda: store.add(a_cell(adapter=Component(name="a", version="1"))),
    ]
    seen = {store.fingerprint()}
    for step in steps:
        step()
        assert store.fingerprint() not in seen
        assert store.fingerprint() == Store(store.root).fingerprint()
        seen.add(store.fingerprint())


def test_info_round_trips(store: Store) -> None:
    info = RunInfo(title="t", data="/d")
    store.write_info(info)
    assert store.info() == info


def test_a_cell_keeps_its_largest_planned_size(store: Store) -> None:
    stored = store.add(a_cell())
    assert stored.asked() is None
    sizes = [TaskSize(questions=18 * images, images=images) for images in (3, 5, 1)]
    for size in sizes:
        stored.ask(size)
    assert store.add(a_cell()).asked() == sizes[1]
    stored.check_asked(90)
    with pytest.raises(StoreError, match="says 90 questions, the task has 80"):
        stored.check_asked(80)


@pytest.mark.parametrize(
    "text",
    [
        '{"questions":1}',
        '{"questions":null,"images":1}',
        '{"questions":NaN,"images":1}',
        '{"questions":-1,"images":1}',
        '{"questions":true,"images":1}',
        "null",
        "[" * 9999,
        f'{{"questions":{"9" * 5000},"images":1}}',
    ],
)
def test_a_damaged_size_is_named(store: Store, text: str) -> None:
    stored = store.add(a_cell())
    (stored.path / "asked.json").write_text(f"{text}\n")
    with pytest.raises(StoreError, match=r"asked\.json: damaged") as caught:
        stored.asked()
    assert len(str(caught.value)) < 400


def test_a_foreign_directory_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunDirError, match="not empty"):
        Store(tmp_path).create()
    assert [found.name for found in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunDirError, match="no eyechart run here"):
        Store(tmp_path).require()


def test_a_file_in_place_of_the_directory_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="cannot be written"):
            Store(path).create()


def test_damaged_info_is_named(store: Store) -> None:
    for text in ("{", "[]", '{"format":99}', '{"format":1}', ""):
        (store.root / "run.json").write_text(text + "\n")
        with pytest.raises(StoreError, match=r"run\.json: (damaged|written in format)"):
            store.require()
    (store.root / "run.json").unlink()
    with pytest.raises(StoreError, match=r"run\.json: missing; run the last plan again"):
        store.require()


def test_a_directory_of_a_run_killed_at_its_start_is_used(tmp_path: Path) -> None:
    (tmp_path / "run" / "cells" / "0123456789abcdef").mkdir(parents=True)
    store = Store(tmp_path / "run")
    store.create()
    assert store.cells() == []
