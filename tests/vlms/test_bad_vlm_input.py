"""Wrong input about VLMs: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from logging import LogRecord
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.store import Store
from eyechart.vlms.checkpoint import Checkpoint, load_model
from tests.vlms.chat_server import completion, error, serve

KEY = "sk-very-secret-0123456789"


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def of_another_family(folder: Path) -> None:
    change_json(folder / "config.json", model_type="janus")


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def with_cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_missing_weights(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))


def with_weights_of_another_shape(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update({"lm_head.weight": torch.zeros(3, 4)}))


def without_image_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def without_chat_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def without_image_token(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|image_pad|>", ""))


def with_broken_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for %}")


def with_endless_template(folder: Path) -> None:
    loops = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3
    (folder / "chat_template.jinja").write_text(loops)


def with_doubling_template(folder: Path) -> None:
    doubles = "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}"
    (folder / "chat_template.jinja").write_text(doubles + "{% endfor %}")


def with_wide_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ 'x' * 99999999999 }}")


def with_long_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ 'x' * 1999999 }}")


def with_foreign_index(folder: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "../../secret.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def with_nested_config(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 99999)


def with_broken_old_template(folder: Path) -> None:
    without_chat_template(folder)
    (folder / "chat_template.json").write_text('{"template": "x"}')


def with_few_places(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 40
    (folder / "config.json").write_text(json.dumps(config))


def run(vlm: str, out: Path) -> int:
    return run_args(
        f"run --vlm {vlm} --tasks POPE --codecs source --max-images 1 --out {out} "
        "--workers 0 --device cpu --no-report".split()
    )


def stored_questions(out: Path) -> int:
    return sum(len(cell.records()) + len(cell.failures()) for cell in Store(out).cells())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_weights, "no weights: *.safetensors is missing"),
        (of_another_family, "config.json is of family 'janus', this VLM needs 'qwen2_5_vl'"),
        (without_config, "config.json cannot be read"),
        (with_foreign_index, "names '../../secret.safetensors'; allowed: *.safetensors files"),
        (with_nested_config, "config.json: not JSON (RecursionError"),
    ],
)
def test_a_directory_that_is_no_vlm_is_refused_before_anything_is_written(
    damage: Callable[[Path], None],
    message: str,
    qwen_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "vlm"
    shutil.copytree(qwen_dir, folder)
    damage(folder)
    assert run(f"qwen2_5_vl:model={folder}", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("max_pixels=-5", "max_pixels=-5: allowed: auto, null, or a whole number from 1 on"),
        ("max_pixels=0", "max_pixels=0: allowed: auto, null"),
        ("max_pixels=abc", "option max_pixels is 'abc'; allowed: a whole number or auto or null"),
        ("min_pixels=true", "option min_pixels is True; allowed: a whole number or auto or null"),
        ("min_pixels=9000,max_pixels=800", "min_pixels=9000 is more than max_pixels=800"),
        ("max_pixels=800", "is more than max_pixels=800; give both"),
        ("budget_tokens=0", "budget_tokens=0: allowed: null, or a whole number from 1 on"),
        ("budget_tokens=2.5", "option budget_tokens is 2.5; allowed: "),
        ("dtype=float8", "dtype 'float8' is not one of auto, float32"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_written(
    option: str, message: str, qwen_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"qwen2_5_vl:model={qwen_dir},{option}", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tiles", ["x", "0", "-3", "1.5"])
def test_tiles_that_cannot_be(
    tiles: str, internvl_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"internvl:model={internvl_dir},max_tiles={tiles}", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "max_tiles" in line
    assert "allowed: " in line
    assert "a whole number" in line


@pytest.mark.parametrize("family", ["internvl", "janus"])
def test_a_system_message_that_is_no_text(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{family}:system=3", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "option system is 3; allowed: text" in line


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (with_cut_weights, "cannot be loaded"),
        (with_missing_weights, "1 weights missing, first lm_head.weight"),
        (
            with_weights_of_another_shape,
            "1 weights of another shape than config.json says, first lm_head.weight: (3, 4), not (",
        ),
        (without_image_processor, "image processor"),
        (without_chat_template, "no chat template"),
        (without_tokenizer, "no tokenizer (tokenizer.json, vocab.json"),
        (without_image_token, "the chat template made 0 image placeholders"),
        (with_broken_template, "tokenizer, chat template and config.json do not fit together"),
        (with_endless_template, "the template takes longer than "),
        (with_doubling_template, "the chat template needs too much memory"),
        (with_wide_template, "the chat template needs too much memory"),
        (with_long_template, "the template makes 1,999,999 characters of a question of one"),
        (with_broken_old_template, "chat_template.json: has no chat_template"),
    ],
)
def test_errors_of_loading_end_the_run_and_lose_no_question(
    damage: Callable[[Path], None],
    message: str,
    qwen_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    library_says: list[LogRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("eyechart.vlms.tokenizer.TEMPLATE_S", 3.0)
    monkeypatch.setattr("eyechart.vlms.tokenizer.TEMPLATE_BYTES", 1 << 28)
    folder = tmp_path / "vlm"
    shutil.copytree(qwen_dir, folder)
    damage(folder)
    vlm = f"qwen2_5_vl:model={folder},min_pixels=null,max_pixels=null"
    assert run(vlm, tmp_path / "out") == 2
    *_, line = capsys.readouterr().err.splitlines()  # after what will be asked
    assert message in line
    assert not library_says
    assert stored_questions(tmp_path / "out") == 0


def test_a_vlm_that_the_hub_has_is_named_without_a_network_and_others_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert run("qwen2.5-vl-3b,someone/vlm", alone) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'Qwen/Qwen2.5-VL-3B-Instruct': neither in the local cache nor on the hub" in line
    assert not alone.exists()
    assert run("qwen2.5-vl-3b,someone/vlm,eyechart-mini", both) == 2
    shown = capsys.readouterr()
    assert shown.out.count("not asked, the other VLMs go on: hub id ") == 2
    assert "'someone/vlm'" in shown.err
    assert {stored.cell.vlm.name for stored in Store(both).cells()} == {"eyechart-mini"}
    assert stored_questions(both) > 0


def test_plan_and_run_take_a_directory_with_a_colon_in_its_name(
    qwen_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "vlm:size=2"
    shutil.copytree(qwen_dir, folder)
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"vlms: {folder}\ntasks: POPE\ncodecs: source\nmax_images: 1\n")
    assert run_args(["plan", str(plan), "--data", "eyechart-mini"]) == 0
    assert folder.name in capsys.readouterr().out
    given = ["--data", "eyechart-mini", "--max-images", "1", "--workers", "0", "--device", "cpu"]
    out = tmp_path / "out"
    assert run_args(["run", str(plan), *given, "--out", str(out), "--no-report"]) == 0
    assert {stored.cell.vlm.name for stored in Store(out).cells()} == {folder.name}


def test_a_question_that_is_too_long_fails_alone_and_is_named(
    qwen_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "vlm"
    shutil.copytree(qwen_dir, folder)
    with_few_places(folder)
    vlm = f"qwen2_5_vl:model={folder},min_pixels=null,max_pixels=null"
    assert run(vlm, tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "the model takes 40 (lower max_pixels or the token limit) (POPE question " in said


def test_an_unreachable_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    assert run(f"openai:model=m,base_url={url},retries=0", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the server cannot be reached" in line
    assert stored_questions(tmp_path / "out") == 0


def test_a_wrong_key_and_then_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    refusing = True
    with serve(lambda _: error(401, f"bad {KEY}") if refusing else completion("yes")) as server:
        vlm = f"openai:model=m,base_url={server.url},retries=0"
        assert run(vlm, tmp_path / "out") == 2
        *_, line = capsys.readouterr().err.splitlines()
        assert "the key in OPENAI_API_KEY was refused" in line
        assert KEY not in line
        assert stored_questions(tmp_path / "out") == 0
        refusing = False
        assert run(vlm, tmp_path / "out") == 0
    assert stored_questions(tmp_path / "out") > 0


class Model:
    """Replaces a transformers class and records its arguments."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def from_pretrained(self, source: str, **given: Any) -> tuple[Model, dict[str, list[str]]]:
        self.given = given
        return self, {"missing_keys": [], "mismatched_keys": []}

    def eval(self) -> Model:
        return self

    def requires_grad_(self, wanted: bool) -> Model:
        return self

    def to(self, device: str) -> Model:
        self.given["moved_to"] = device
        return self


def test_a_model_over_all_gpus_is_placed_by_a_device_map(
    qwen_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    def loaded(device: str) -> dict[str, Any]:
        model = Model()
        checkpoint = Checkpoint(model=str(qwen_dir), model_type="qwen2_5_vl", device=device)
        assert load_model(checkpoint, model) is model
        return model.given

    spread, single = loaded("map"), loaded("cuda:1")
    assert spread["device_map"] == "auto"
    assert "moved_to" not in spread
    assert "device_map" not in single
    assert single["moved_to"] == "cuda:1"
    assert str(spread["dtype"]) == str(single["dtype"]) == "torch.bfloat16"
    with pytest.raises(InputError, match="'cuda:2': allowed: cuda:0 to cuda:1"):
        loaded("cuda:2")
