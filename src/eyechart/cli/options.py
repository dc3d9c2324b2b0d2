"""Short forms for options of the command line."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from eyechart.core.errors import InputError

WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="DIR",
        help="The codec's weights folder or its URL, as CODEC:weights=DIR.",
    ),
]
MOST_QUESTIONS = 100_000  # without --yes: a server may bill them
MOST_SEED = 2**32 - 1  # NumPy and torch take no larger one everywhere
MOST_SAMPLES = 1_000_000
# Not a `Path`, which would change the slashes of a URL.
Directory = Annotated[
    str, typer.Argument(metavar="DIR", help="The run directory, or its URL (s3://bucket/run).")
]


def option(*names: str, metavar: str, help_: str, **more: Any) -> Any:
    """An option with a value."""
    return typer.Option(*names, metavar=metavar, help=help_, **more)


AxisOption = Annotated[
    str,
    typer.Option(
        "--axis", metavar="WHAT", help="Rates of curves and BD: bpp, bytes, tokens or usd."
    ),
]
UsdPerMillion = Annotated[
    str | None,
    typer.Option(metavar="IN,OUT", help="Prices of tokens, as in 2.5,10. Default: list prices."),
]

UsdPerGb = Annotated[
    float | None,
    typer.Option("--usd-per-gb", metavar="USD", help="Price of sending 10^9 bytes, as in 0.09."),
]


def parse_prices(text: str | None) -> tuple[float, float] | None:
    """`2.5,10` as numbers. Raises InputError."""
    if text is None:
        return None
    try:
        usd_input, usd_output = map(float, text.split(","))
    except ValueError as error:
        raise InputError(
            f"--usd-per-million {text!r}; allowed: two numbers, as in 2.5,10"
        ) from error
    return usd_input, usd_output


def with_weights(codec: str, weights: str | None) -> str:
    """A codec as text, with its weights folder as an option."""
    if weights is None:
        return codec
    separator = "," if ":" in codec.rpartition(">")[2] else ":"
    text = json.dumps(weights).replace(",", r"\u002c").replace(">", r"\u003e")
    return f"{codec}{separator}weights={text}"
