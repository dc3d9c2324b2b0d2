"""Checks of the options of local VLMs, before anything is loaded."""

from __future__ import annotations

from eyechart.core.errors import InputError


def checked_count(name: str, value: object, *, or_else: str = "") -> None:
    """Check for a whole number from 1 on. or_else: what else is allowed, for the message.

    Raises:
        InputError: names the option, its value and what is allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name}={value}: allowed: {or_else}a whole number from 1 on")


def checked_text(name: str, value: object) -> None:
    """Check for text, which may be empty. Raises InputError."""
    if not isinstance(value, str):
        raise InputError(f"{name}={value}: allowed: text, empty for none")
