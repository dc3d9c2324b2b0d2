"""`eyechart codec` as the tests call it, and an image for it."""

from __future__ import annotations

import numpy as np
from typer.testing import CliRunner

from eyechart.cli.codec import app
from eyechart.testing.codecs import sample_image

PHOTO = sample_image(40, 56, np.random.default_rng(2))


def call(*arguments: object) -> str:
    """The output of the command; its errors are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output
