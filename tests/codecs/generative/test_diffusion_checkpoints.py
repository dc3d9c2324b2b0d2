"""Published checkpoints of DiffEIC, RDEIC and StableCodec: their weights, renamed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("constriction")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from torch import Tensor, nn  # noqa: E402

from eyechart.cli import run_args  # noqa: E402
from eyechart.codecs.generative.diffusion.networks import RdeicNetwork  # noqa: E402
from eyechart.codecs.generative.diffusion.official import (  # noqa: E402
    tensors_of_lightning,
    tensors_of_stablecodec,
)
from eyechart.codecs.learned.weights import misfit  # noqa: E402
from eyechart.core.errors import InputError  # noqa: E402
from tests.codecs.generative.small_diffusion import (  # noqa: E402
    lora_of,
    small_diffeic,
    small_rdeic,
    small_stablecodec,
)
from tests.codecs.generative.tiny_diffusion import write_base  # noqa: E402


def published(network: nn.Module) -> dict[str, Tensor]:
    """The network's weights under the names of DiffEIC's and RDEIC's code, with what they add."""
    contexts = (
        r"codec\.context\.((?:local_context|\w+_anchor|\w+_nonanchor|channel_context)\.\d+)\."
    )
    found: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        key = re.sub(contexts, r"preprocess_model.\1.", key)
        key = re.sub(r"(\.entropy_parameters_\w+\.\d+\.)", r"\1fusion.", key)
        key = re.sub(r"(\.channel_context\.\d+\.)", r"\1fushion.", key)
        key = re.sub(r"^codec\.hyper_dec\.", "preprocess_model.hyper_dec.hyper_dec.", key)
        if isinstance(network, RdeicNetwork):
            key = re.sub(r"^codec\.encoder\.", "preprocess_model.encoder.g_a.", key)
            key = re.sub(r"^codec\.decoder\.", "preprocess_model.decoder.g_s.", key)
            key = re.sub(r"^codec\.hyper_enc\.", "preprocess_model.hyper_enc.hyper_enc.", key)
            key = re.sub(r"^codec\.codebook$", "preprocess_model.quantize.embedding.weight", key)
        key = re.sub(r"^codec\.", "preprocess_model.", key)
        found[re.sub(r"^control\.", "control_model.", key)] = value
    found["control_model.scale_list"] = torch.ones(25)
    found["preprocess_model.quantize.embed_prob"] = torch.ones(64)
    found["preprocess_model.gaussian_conditional._offset"] = torch.ones(64)
    found["model.diffusion_model.input_blocks.0.0.weight"] = torch.ones(1)
    return found


@pytest.mark.parametrize("build", [small_diffeic, small_rdeic])
def test_lightning_checkpoints_are_renamed(build: Callable[[], nn.Module]) -> None:
    network = build()
    tensors = tensors_of_lightning("any", {"state_dict": published(network), "epoch": 3})
    assert misfit(network, tensors) == ""
    assert all(torch.equal(tensors[key], value) for key, value in network.state_dict().items())


def test_checkpoints_of_stablecodec_are_renamed(tmp_path: Path) -> None:
    lora = lora_of(write_base(tmp_path / "tiny"))
    network = small_stablecodec(lora)
    codec = {
        re.sub(r"^g_c\.", "g_c.block.", key): value
        for key, value in network.codec.state_dict().items()
    }
    parts = {
        f"state_dict_{part}": {
            key.removeprefix(f"lora.{part}.").replace(".weight", f"{name}.weight")
            if "lora_" in key
            else key.removeprefix(f"lora.{part}."): value
            for key, value in lora.items()
            if key.startswith(f"lora.{part}.")
        }
        for part, name in (("unet", ".default"), ("vae", ".vae_skip"))
    }
    elic = {
        re.sub(r"conv([123])\.", lambda m: f"branch.{2 * int(m[1]) - 2}.", key): value
        for key, value in network.auxiliary.state_dict().items()
    }
    elic = {f"g_a.analysis_transform.{key}": value for key, value in elic.items()}
    checkpoint = {"state_dict_codec": codec, **parts}
    tensors = tensors_of_stablecodec("any", checkpoint, elic)
    assert misfit(network, tensors) == ""
    with pytest.raises(InputError, match=r"elic_official\.pth, is missing"):
        tensors_of_stablecodec("any", checkpoint)
    with pytest.raises(InputError, match="holds no state_dict_vae"):
        tensors_of_stablecodec("any", {**checkpoint, "state_dict_vae": None}, elic)


@pytest.mark.parametrize("codec", ["diffeic", "rdeic", "stablecodec"])
def test_a_checkpoint_of_another_codec_is_one_line(
    codec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.ckpt"
    torch.save({"state_dict": {"encoder.weight": torch.zeros(3)}}, file)
    into = tmp_path / "mine"
    assert run_args(["codec", "add", codec, str(file), "--level", "2", "--into", str(into)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    wanted = "state_dict_codec" if codec == "stablecodec" else "encoder.weight"
    assert wanted in line
    assert not into.exists()
