"""An adapter's identity: that of its configuration and its weights, without other files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eyechart.adapters import read_config
from eyechart.core.errors import InputError
from eyechart.core.types import Decoding, Request
from eyechart.runner.plan import make_plan
from eyechart.runner.resolve import resolve
from eyechart.store import url_folders
from eyechart.vlms import open_vlm
from eyechart.vlms.adapter_identity import adapter_component
from eyechart.zoo import adapter_dir


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "universal"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"trained_codecs": ["jpeg", "vvc"]}')
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_an_adapters_identity_is_that_of_its_files(adapter: Path) -> None:
    first = adapter_component(str(adapter))
    assert (first.name, first.options) == ("universal", {"trained_codecs": ["jpeg", "vvc"]})
    (adapter / "adapter_model.safetensors").write_bytes(b"other weights")
    assert adapter_component(str(adapter)).version != first.version
    (adapter / "adapter_config.json").write_text('{"trained_codecs": ["jpeg"]}')
    assert adapter_component(str(adapter)).options == {"trained_codecs": ["jpeg"]}


def test_what_training_leaves_beside_it_is_not_part_of_it(adapter: Path) -> None:
    def versions() -> tuple[str, object]:
        vlm = open_vlm("eyechart-mini-s", adapter=str(adapter), device="cpu")
        return adapter_component(str(adapter)).version, vlm.options["adapter"]

    before = versions()
    assert before[0] == before[1]  # a cell names its adapter as its VLM does
    for name in ("training.safetensors", "log.jsonl", "README.md", "notes.txt", "other.json"):
        (adapter / name).write_bytes(b"{}")
    assert versions() == before


def test_another_conditioning_is_another_adapter_with_its_own_name(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text('{"tell": "blind"}')
    specs = (str(adapter), f"{adapter}:conditioning=labelled", f"{adapter}:tell=unknown")
    found = [adapter_component(spec) for spec in specs]
    assert [one.name for one in found] == [
        "universal",
        "universal:conditioning=labelled",
        "universal:conditioning=unknown",
    ]
    assert [one.options["tell"] for one in found] == ["blind", "labelled", "unknown"]
    assert len({one.version for one in found}) == 3
    for spec, one in zip(specs, found, strict=True):
        assert open_vlm("eyechart-mini-s", adapter=spec).options["adapter"] == one.version
    for own in ("tell=blind", "tell=estimated", "conditioning=blind", "conditioning=estimated"):
        assert adapter_component(f"{adapter}:{own}") == found[0]
    assert adapter_component(f"{adapter}:conditioning=unknown") == found[2]
    # A copy with that conditioning is the same adapter, with the keys of any release.
    for key in ("tell", "conditioning"):
        (adapter / "adapter_config.json").write_text(json.dumps({key: "unknown"}))
        assert adapter_component(str(adapter)).version == found[2].version


@pytest.fixture
def downloads(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URLs in the order of their downloads, all of the same adapter."""
    made: list[str] = []

    def fetched(url: str) -> Path:
        made.append(url)
        return adapter

    monkeypatch.setattr(url_folders, "fetched", fetched)
    return made


def test_a_url_is_downloaded_once(adapter: Path, downloads: list[str], tmp_path: Path) -> None:
    url = f"s3://bucket{tmp_path}/universal"  # of no other test in this process
    found = [adapter_component(spec) for spec in (url, url, f"{url}:conditioning=unknown")]
    assert found[0] == found[1] == adapter_component(str(adapter))
    assert found[2] == adapter_component(f"{adapter}:conditioning=unknown")
    assert downloads == [url]


def test_a_vlm_does_not_answer_with_an_adapter_that_was_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(adapter_dir("universal"), folder)
    plan = {"vlms": "eyechart-mini-s", "tasks": "POPE", "codecs": "source"}
    (model,) = resolve(make_plan({**plan, "adapters": str(folder)}, "p")).models
    vlm = model.open()
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"results"', '"other": 1, "results"', 1))
    with pytest.raises(InputError, match=r"adapter version \w+: it has changed; answers are"):
        model.open()
    question = Request(image=np.zeros((32, 32, 3), np.uint8), prompts=("Is it red?",))
    with pytest.raises(InputError, match="it has changed"):
        vlm.answer([question], Decoding())


def test_renamed_keys_keep_the_identity(adapter: Path) -> None:
    first = {"tell": "blind", "pretend": [], "results": {"feature_error": {"blind": {"a": 1}}}}
    now = {
        "conditioning": "estimated",
        "condition_aliases": [],
        "results": {"feature_error": {"estimated": {"a": 1}}},
    }
    found = []
    for config in (first, now):
        (adapter / "adapter_config.json").write_text(json.dumps(config))
        found.append(adapter_component(str(adapter)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ("universal", "462672d8f4cac8c8"),
        ("universal:conditioning=labelled", "5f40a4b2a8a40f24"),
        ("universal:conditioning=unknown", "11924d2599ee0d60"),
    ],
)
def test_the_shipped_adapter_keeps_its_identity(spec: str, version: str) -> None:
    component = adapter_component(spec)
    assert (component.name, component.version) == (spec, version)
    trained = read_config(adapter_dir("universal")).trained_codecs
    assert component.options["trained_codecs"] == list(trained)


def test_a_bad_conditioning_is_one_line(adapter: Path) -> None:
    with pytest.raises(InputError, match="conditioning='loudly' is not one of"):
        adapter_component(f"{adapter}:tell=loudly")
    with pytest.raises(InputError, match="give one of them"):
        adapter_component(f"{adapter}:tell=unknown,conditioning=unknown")
    with pytest.raises(InputError, match="unknown option 'volume'; allowed: conditioning"):
        adapter_component(f"{adapter}:volume=3")


def test_what_is_no_adapter_is_one_line(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty.*adapter_config.json \(No such file"):
        adapter_component(str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"nowhere': there is no such folder"):
        adapter_component(str(tmp_path / "nowhere"))
    for text in ("{", "[]", '{"results": NaN}'):
        (adapter / "adapter_config.json").write_text(text)
        with pytest.raises(InputError, match="damaged"):
            adapter_component(str(adapter))
