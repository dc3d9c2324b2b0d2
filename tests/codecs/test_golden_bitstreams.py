"""Bitstreams that were written once still decode: a change of a format or of weights is seen."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("constriction")

from eyechart.quality import open_metric
from tests.codecs.golden_bitstreams import GOLDENS, Golden, image


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.file.name)
def test_a_stored_bitstream_decodes_to_the_stored_image(golden: Golden) -> None:
    codec, level = golden.open()
    bitstream = golden.bitstream()
    # Checks the weights' digest and the checksum of the latent, too.
    decoded = codec.decode(bitstream)
    # Another machine may round some pixels differently by one: 58 dB if that were a tenth of them.
    assert open_metric("psnr").measure(golden.decoded(), decoded) > 55
    # A symbol that is rounded differently changes few bits.
    size_bytes = len(codec.encode(image(), level).payload)
    assert size_bytes == pytest.approx(len(bitstream.payload), rel=0.02, abs=2)
