"""The conformance check of codecs with weights, on a small one in numpy."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from neural_toy import NeuralToy, make_weights

from eyechart.core.errors import CodecError
from eyechart.core.types import Codec, NeuralCodec
from eyechart.testing import ConformanceError, check_codec, examine_codec
from eyechart.testing.codecs import sample_image

SIZES = [(1, 1), (9, 20)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_weights(tmp_path_factory.mktemp("weights")))


def test_a_good_codec_passes(weights: str) -> None:
    codec = NeuralToy(weights=weights)
    assert isinstance(codec, NeuralCodec)
    assert isinstance(codec, Codec)
    report = check_codec(codec, sizes=SIZES, options={"weights": weights})
    assert {"fresh process", "batches", "load and close", "other weights", "reproducible"} <= set(
        report.passed
    )


def test_it_need_not_be_picklable_because_it_travels_by_name_and_options(weights: str) -> None:
    codec = NeuralToy(weights=weights)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(codec)
    assert "fresh process" in check_codec(codec, sizes=SIZES, options={"weights": weights}).passed


def test_options_that_build_another_codec_are_found(weights: str) -> None:
    codec = NeuralToy(weights=weights)
    codec.options = {"step": 3}
    with pytest.raises(
        ConformanceError, match=r'fresh process: built again it is .*"options":\{\}'
    ):
        check_codec(codec, sizes=SIZES, options={"weights": weights})


def test_options_that_cannot_travel_are_found(weights: str) -> None:
    options = {"weights": weights, "broken": lambda: ""}
    with pytest.raises(ConformanceError, match="fresh process: its CodecSpec cannot be sent"):
        check_codec(NeuralToy(weights=weights), sizes=SIZES, options=options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("order", "batches: level coarse: payloads of a batch differ from single ones"),
        ("chance", "batches: level coarse: payloads of a batch differ from single ones"),
        ("no digest", "files: level coarse: weights '' are no sha256"),
        ("any weights", "other weights: level coarse: a payload of other weights gave"),
    ],
)
def test_a_violated_requirement_is_named(weights: str, broken: str, message: str) -> None:
    codec = NeuralToy(weights=weights, broken=broken)
    report = examine_codec(codec, sizes=SIZES, options={"weights": weights, "broken": broken})
    assert any(failure.startswith(message) for failure in report.failures), report.failures
    assert f"FAILED  {message}" in str(report)


def test_a_wrong_claim_of_bitwise_is_found(weights: str) -> None:
    codec = NeuralToy(weights=weights)
    options = {"weights": weights, "broken": "threads"}
    report = examine_codec(codec, sizes=SIZES, options=options)
    assert any("declared bitwise, but with 3 threads" in one for one in report.failures)
    assert not any("with 1 threads" in one for one in report.failures)


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "weights")
    (folder / "fine.npy").unlink()
    report = examine_codec(NeuralToy(weights=str(folder)), sizes=SIZES)
    assert any(one.startswith("files: ") and "fine.npy" in one for one in report.failures)


def test_retrained_weights_refuse_old_payloads(tmp_path: Path) -> None:
    rgb8 = sample_image(20, 30, np.random.default_rng(0))
    old = NeuralToy(weights=str(make_weights(tmp_path / "old", seed=1)))
    new = NeuralToy(weights=str(make_weights(tmp_path / "new", seed=2)))
    bitstream = old.encode(rgb8, old.levels[0])
    with pytest.raises(CodecError, match="made with other weights"):
        new.decode(bitstream)
    assert old.decode(bitstream).shape == rgb8.shape


def test_anything_a_codec_raises_is_one_line() -> None:
    class Broken:
        name = "broken"
        version = "1"
        levels = ()

        @property
        def options(self) -> dict[str, object]:
            return {}

        def encode(self, rgb8: object, level: object) -> object:
            raise ZeroDivisionError("by design\nin two lines")

        decode = encode

    report = examine_codec(Broken())  # type: ignore[arg-type]
    assert report.failures
    assert all("\n" not in failure for failure in report.failures)


def test_a_codec_with_weights_that_lacks_a_member_is_named(weights: str) -> None:
    codec = NeuralToy(weights=weights)
    del codec.reproducible
    report = examine_codec(codec, sizes=SIZES, options={"weights": weights})
    assert "identity: lacks reproducible of eyechart.core.types.NeuralCodec" in report.failures
    assert "batches" in report.passed  # it is checked as what a run takes it for
