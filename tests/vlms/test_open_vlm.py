"""Names, hub ids and directories open the right family; others are an error of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import Decoding
from eyechart.vlms import known_vlms, open_vlm, vlm_names
from eyechart.vlms.hub import hub_revision, hub_snapshot, in_hub_cache
from tests.vlms.asking import request


@pytest.mark.parametrize(
    ("asked", "name", "family"),
    [
        ("qwen2.5-vl-3b", "qwen2.5-vl-3b", "qwen2_5_vl"),
        ("Qwen2.5-VL-7B", "qwen2.5-vl-7b", "qwen2_5_vl"),
        ("Qwen/Qwen2.5-VL-32B-Instruct", "qwen2.5-vl-32b", "qwen2_5_vl"),
        ("eyechart-mini", "eyechart-mini", "qwen2_5_vl"),
        ("eyechart-mini-s", "eyechart-mini-s", "qwen2_5_vl"),
    ],
)
def test_names_and_hub_ids_resolve_without_loading(asked: str, name: str, family: str) -> None:
    vlm = open_vlm(asked, device="cpu")
    assert (vlm.name, vlm.family) == (name, family)


def test_another_hub_id_finds_its_family_by_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--fine-tuned" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "internvl"}))
    vlm = open_vlm("someone/fine-tuned", device="cpu")
    assert (vlm.name, vlm.family) == ("someone/fine-tuned", "internvl3")
    (snapshot / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="family 'bert'"):
        open_vlm("someone/fine-tuned")


def test_a_hub_id_that_is_nowhere_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    with pytest.raises(InputError, match="neither in the local cache nor on the hub"):
        open_vlm("someone/nothing")


def test_a_hub_id_without_downloads_is_one_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import OfflineModeIsEnabled

    def offline(*_: object, **__: object) -> str:
        raise OfflineModeIsEnabled("a long explanation " * 20)

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "model_info", offline)
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE is set; .*`hf download"):
        open_vlm("someone/nothing")


def test_any_error_of_the_hubs_client_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its HTTP library raises classes of its own, for example without a network."""
    import huggingface_hub

    class ConnectError(Exception):
        pass

    def unreachable(*_: object, **__: object) -> str:
        raise ConnectError("name resolution failed")

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    with pytest.raises(InputError, match=r"ConnectError: name resolution failed.*the network"):
        hub_revision("Qwen/Qwen2.5-VL-3B-Instruct")


def test_a_checkpoint_cached_by_its_commit_is_ready_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--vlm" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "internvl"}))
    (snapshot / "model.safetensors").write_bytes(b"x")
    assert in_hub_cache("someone/vlm")
    assert hub_snapshot("someone/vlm") == snapshot


def test_all_of_the_papers_vlms_are_known() -> None:
    assert set(vlm_names()) >= {known.name for _, known in known_vlms()}
    built_in = [known for _, known in known_vlms() if known.folder is not None]
    assert len(known_vlms()) - len(built_in) == 10


@pytest.mark.parametrize("asked", ["qwen-vl-chat", "Qwen/Qwen-VL-Chat"])
def test_qwen_vl_chat_is_found_by_either_name_behind_its_server(asked: str) -> None:
    vlm = open_vlm(asked, base_url="http://localhost:8000/v1")
    assert (vlm.name, vlm.family) == ("qwen-vl-chat", "qwen-vl-chat")


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ("qwen-vl-chat", {}),
        ("Qwen/Qwen-VL-Chat", {}),
        ("openai", {"model": "Qwen/Qwen-VL-Chat"}),
        ("qwen-vl-chat", {"base_url": None}),
    ],
)
def test_qwen_vl_chat_without_a_server_sends_nothing_to_openai(
    asked: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-set")
    with pytest.raises(InputError, match=r"server of your own \(documentation: Servers\)"):
        open_vlm(asked, **options)


def test_unknown_name_is_answered_with_the_near_ones() -> None:
    with pytest.raises(PluginError, match=r"unknown vlm 'qwen2.5-vl-4b'.*qwen2.5-vl-3b"):
        open_vlm("qwen2.5-vl-4b")


def test_unknown_option_is_named() -> None:
    with pytest.raises(PluginError, match="max_pixel"):
        open_vlm("qwen2.5-vl-3b", max_pixel=3)


def test_missing_directory() -> None:
    with pytest.raises(InputError, match=r"'\./nowhere' does not exist"):
        open_vlm("./nowhere")


def test_a_missing_directory_is_not_taken_for_a_hub_id(tmp_path: Path) -> None:
    gone = open_vlm("eyechart-mini", model=str(tmp_path / "gone"))
    with pytest.raises(InputError, match="neither a directory nor a hub id"):
        _ = gone.version


def test_directory_without_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        open_vlm(str(tmp_path))


def test_directory_of_another_family(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(InputError, match="family 'llava'; supported: internvl, janus, qwen2_5_vl"):
        open_vlm(str(tmp_path))


def test_directory_with_a_broken_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        open_vlm(str(tmp_path))


def test_directory_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    vlm = open_vlm(str(tmp_path), device="cpu")
    with pytest.raises(InputError, match=r"no weights: \*\.safetensors is missing"):
        vlm.answer([request(56, 56, 1)], Decoding())


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    (tmp_path / "one.safetensors").write_bytes(b"")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"two\.safetensors is missing"):
        open_vlm(str(tmp_path), device="cpu").answer([request(56, 56, 1)], Decoding())


def test_a_hub_id_in_the_cache_needs_no_network(
    qwen_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--someone--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0123456789abcdef0123")
    shutil.copytree(qwen_dir, cached / "snapshots" / "0123456789abcdef0123")
    vlm = open_vlm("someone/tiny", device="cpu", min_pixels=None, max_pixels=None)
    assert vlm.version == "0123456789abcdef"
    assert len(vlm.answer([request(56, 56, 2)], Decoding(max_new_tokens=1))[0]) == 2


def test_a_chat_template_where_older_checkpoints_keep_it_is_found(
    qwen_dir: Path, tmp_path: Path
) -> None:
    import shutil

    old = tmp_path / "old"
    shutil.copytree(qwen_dir, old)
    template = old / "chat_template.jinja"
    (old / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    template.unlink()
    asked, decoding = [request(56, 56, 3)], Decoding(max_new_tokens=3)
    found, expected = (
        open_vlm(str(folder), device="cpu", min_pixels=None, max_pixels=None).answer(
            asked, decoding
        )
        for folder in (old, qwen_dir)
    )
    assert found == expected


def test_cut_weights_are_one_line(qwen_dir: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "cut"
    shutil.copytree(qwen_dir, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        open_vlm(str(copy), device="cpu").answer([request(56, 56, 1)], Decoding())
    assert "\n" not in str(caught.value)


def test_missing_weights_are_not_filled_with_noise(qwen_dir: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    copy = tmp_path / "holes"
    shutil.copytree(qwen_dir, copy)
    weights = load_file(copy / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="1 weights missing, first lm_head"):
        open_vlm(str(copy), device="cpu").answer([request(56, 56, 1)], Decoding())


def test_a_device_that_is_not_there_is_refused(qwen_dir: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(InputError, match="no CUDA device here"):
        open_vlm(str(qwen_dir), device="cuda:0").answer([request(56, 56, 1)], Decoding())


def test_importing_and_naming_loads_no_torch() -> None:
    code = (
        "import sys, eyechart.vlms as v; v.vlm_names();"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_built_in_vlm_refuses_choice_sets() -> None:
    with pytest.raises(InputError, match="allowed: free answers"):
        open_vlm("eyechart-mini", device="cpu").answer(
            [], Decoding(max_new_tokens=1, choice_set=True)
        )
