"""Plans: allowed values, and errors of one line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.api.runs import open_plan
from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.plugins import split_specs
from eyechart.runner.plan import (
    BUILT_IN,
    CodecEntry,
    changed,
    load_plan,
    make_plan,
    parse_plan,
)
from eyechart.runner.resolve import codec_levels, model_names, resolve
from eyechart.zoo import weights_dir

LEAST = "vlms: a\ntasks: b\ncodecs: c\n"


def test_a_single_word_is_a_list_of_one() -> None:
    plan = parse_plan(LEAST, "p")
    assert (plan.vlms, plan.tasks, plan.codecs) == (("a",), ("b",), (CodecEntry(codec="c"),))
    assert (plan.adapters, plan.data, plan.max_images) == (("none",), None, None)


def test_levels_written_as_numbers_are_names() -> None:
    plan = parse_plan("vlms: a\ntasks: b\ncodecs: [{codec: jpeg, levels: [1, 3]}, vvc]\n", "p")
    assert plan.codecs == (
        CodecEntry(codec="jpeg", levels=("1", "3")),
        CodecEntry(codec="vvc"),
    )


def test_options_of_a_codec_can_be_a_mapping() -> None:
    text = (
        "vlms: a\ntasks: b\ncodecs:\n"
        "  - jpeg: {quality: [30, 50], long_side: 512, restore: false}\n"
        "    avif:\n  - source\n"
    )
    names = [entry.codec for entry in parse_plan(text, "p").codecs]
    assert names == ["jpeg:quality=[30,50],long_side=512,restore=false", "avif", "source"]
    assert parse_plan("vlms: a\ntasks: b\ncodecs: {jpeg: }\n", "p").codecs[0].codec == "jpeg"


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_plans_name_what_exists(name: str) -> None:
    plan = load_plan(name)
    tasks = {plugins.parse_spec(spec)[0] for spec in plan.tasks}
    others = {"OwnImages"} if name == "quick" else {"OwnImages", "Acuity"}
    assert tasks == set(plugins.names("eyechart.tasks")) - others
    assert model_names(plan)
    for entry in plan.codecs:
        if entry.codec in plugins.names("eyechart.codecs"):
            with suppress(PluginError):  # its weights are not here
                assert codec_levels(entry).levels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vlms: [", "cannot be read"),
        ("- a", "key: value"),
        ("", "key: value"),
        ("tasks: b\ncodecs: c", "'vlms' is missing"),
        (LEAST + "max_image: 3", "unknown key 'max_image'; did you mean max_images?"),
        (LEAST + "max_images: 0", "max_images: Input should be greater than or equal to 1"),
        (LEAST + "max_images: many", "not 'many'"),
        ("vlms: []\ntasks: b\ncodecs: c", "vlms: names nothing; allowed: one or more"),
        ("vlms: a\ntasks: b\ncodecs: []", "codecs: names nothing"),
        ("vlmz: a\ntasks: b\ncodecs: c", "unknown key 'vlmz'; did you mean vlms?"),
        ("vlms: [a, b, a]\ntasks: b\ncodecs: c", "vlms: 'a' is named twice"),
        ("vlms: a\ntasks: [b, b]\ncodecs: c", "tasks: 'b' is named twice"),
        ("vlms: a\ntasks: b\ncodecs: [c, c]", "codecs: 'c' is named twice"),
        ("vlms: a\ntasks: b\ncodecs: {codec: c, levels: [1, 1]}", "levels: '1' is named twice"),
        (
            "vlms: a\ntasks: b\ncodecs: [{codec: c, levels: 1}, {codec: c, levels: [2, 1]}]",
            "codecs: 'c level 1' is named twice",
        ),
        (LEAST + "adapters: [none, none]", "adapters: 'none' is named twice"),
        (
            "vlms: a\ntasks: ['b:max_images=2', d]\ncodecs: {codec: c, tasks: e}",
            "codecs: task 'e' of c is none of the plan's tasks (b, d)",
        ),
        (
            LEAST.replace("codecs: c", "codecs: {codec: c, adapters: d}"),
            "codecs: adapter 'd' of c is none of the plan's adapters (none)",
        ),
        ("vlms: {a: 1}\ntasks: b\ncodecs: c", "vlms"),
        ("vlms: a\ntasks: b\ncodecs: [{codec: jpeg, level: [1]}]", "did you mean levels?"),
        ("vlms: a\ntasks: b\ncodecs: [3]", "codecs.0"),
        ("vlms: a\ntasks: b\ncodecs: [c, {}]", "'codecs.1.codec' is missing"),
        ("vlms: a\ntasks: b\ncodecs: [{c: {q: 2024-01-01}}]", "codecs: 2024-01-01: allowed"),
    ],
)
def test_errors_are_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_plan(text, "my.yaml")
    assert words in str(caught.value)
    assert "my.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(text=st.text(max_size=12))
def test_any_text_is_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:  # no text this short is a whole plan
        parse_plan(text, "p")
    assert len(str(caught.value).splitlines()) == 1


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "binary"):
        with pytest.raises(InputError, match=str(path)):
            load_plan(str(path))


def test_the_environment_may_name_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMUData", "/data/lmu")
    assert load_plan("paper").data == "/data/lmu"


def test_a_plan_goes_through_its_own_values() -> None:
    plan = load_plan("quick")
    assert make_plan(plan.model_dump(), "quick") == plan


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("jpeg,vvc", ["jpeg", "vvc"]),
        (" jpeg , ", ["jpeg"]),
        ("jpeg,vvc:preset=fast,qpa=0,hevc", ["jpeg", "vvc:preset=fast,qpa=0", "hevc"]),
        ("a:x=1,b:y=2", ["a:x=1", "b:y=2"]),
        ("jpeg:levels=[1,3],vvc", ["jpeg:levels=[1,3]", "vvc"]),
    ],
)
def test_specs_are_split_at_their_own_commas(text: str, specs: list[str]) -> None:
    assert split_specs(text) == specs


def test_levels_are_in_order_of_rate_and_unknown_ones_are_refused() -> None:
    found = codec_levels(CodecEntry(codec="jpeg", levels=("5", "1")))
    assert [level.name for level in found.levels] == ["1", "5"]
    with pytest.raises(InputError, match="no level '2'; allowed: 1, 3, 5, 6"):
        codec_levels(CodecEntry(codec="jpeg", levels=("2",)))


def test_replacing_a_value_removes_dependent_ones() -> None:
    plan = load_plan("quick")
    assert plan.adapters == ("none", "universal")
    assert plan.max_images is not None
    assert changed(plan, {}, "quick") == plan
    other = changed(plan, {"vlms": "my-vlm", "data": "mine"}, "quick")
    assert (other.adapters, other.max_images) == (("none",), None)
    some = make_plan({**plan.model_dump(), "codecs": ["a", {"codec": "b", "tasks": "POPE"}]}, "p")
    assert [entry.codec for entry in changed(some, {"tasks": ["GQA"]}, "p").codecs] == ["a"]
    kept = changed(some, {"tasks": ["POPE:max_images=3", "GQA"]}, "p").codecs
    assert kept == some.codecs
    one = make_plan({**plan.model_dump(), "codecs": {"codec": "b", "adapters": "universal"}}, "p")
    assert [entry.adapters for entry in changed(one, {"vlms": "v"}, "p").codecs] == [None]
    assert [entry.adapters for entry in changed(one, {"adapters": "mine"}, "p").codecs] == [None]
    assert changed(one, {"tasks": "POPE"}, "p").codecs == one.codecs
    own = changed(plan, {"vlms": "my-vlm", "adapters": "mine", "data": ".", "max_images": 3}, "q")
    assert (own.adapters, own.max_images) == (("mine",), 3)


@pytest.mark.parametrize(
    ("key", "names", "message"),
    [
        ("vlms", ["eyechart-mini", "eyechart-mini:dtype=float32"], "vlm and adapter eyechart-mini"),
        ("tasks", ["POPE", "POPE:data=eyechart-mini"], "task POPE"),
        ("codecs", ["jpeg", "jpeg:levels=[3]"], "codec and level jpeg 3"),
        ("codecs", ["jpeg", {"codec": "jpeg", "levels": ["1"]}], "codec and level jpeg 1"),
        ("adapters", ["universal", str(weights_dir("universal"))], "eyechart-mini universal"),
    ],
)
def test_two_names_of_one_thing_are_not_run_twice(key: str, names: list[str], message: str) -> None:
    plan = {"vlms": "eyechart-mini", "tasks": "POPE", "codecs": "jpeg", key: names}
    with pytest.raises(InputError, match=f"{message} would be run twice"):
        resolve(make_plan({"data": "eyechart-mini", **plan}, "p"))


@pytest.mark.parametrize(
    "values",
    [{"data": "photos\udcff"}, {"title": "\ud800"}, {"codecs": ["elic:weights=\udcff"]}],
)
def test_text_that_no_run_directory_can_note_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"\\udcff|\\ud800") as caught:
        changed(load_plan(), values, "quick")
    assert "is not UTF-8" in str(caught.value)


def test_a_plan_changed_by_options_has_a_fitting_title() -> None:
    assert open_plan("quick").title == "Eyechart, quick"
    assert open_plan("quick", tasks="POPE", codecs="jpeg").title == "Eyechart, quick: POPE; jpeg"
    assert open_plan("quick", max_images=3).title == "Eyechart, quick"
    assert open_plan("quick", tasks="POPE", title="Mine").title == "Mine"
    several = ["jpeg:levels=[5,40]", "vvc:preset=fast", "vvc"]
    assert open_plan("quick", codecs=several).title == "Eyechart, quick: jpeg, vvc"
    chain = ["jpeg:75 > resize:1024 > webp:60", "webp"]
    assert open_plan("quick", codecs=chain).title == "Eyechart, quick: jpeg > resize > webp, webp"
    tasks = ["POPE", "GQA", "MME:max_images=3", "OCRBench", "MMBench"]
    assert open_plan("quick", tasks=tasks).title == "Eyechart, quick: 5 tasks"
    # Nothing of the plan is left, so that its title says nothing of the run.
    vlms = ["eyechart-mini", "openai:model=some/model,base_url=http://127.0.0.1:1/v1"]
    whole = open_plan("quick", vlms=vlms, tasks="POPE", codecs="jpeg")
    assert whole.title == "Eyechart: eyechart-mini, some/model; POPE; jpeg"
    longest = open_plan("quick", vlms=f"openai:model={'m' * 60}").title
    assert longest == f"Eyechart, quick: {'m' * 40}..."
