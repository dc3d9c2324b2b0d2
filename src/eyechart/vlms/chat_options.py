"""What a user may say of a server: every option checked before anything is sent or stored."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from eyechart.core.errors import InputError

KEY_VARIABLE = "OPENAI_API_KEY"
_NO_KEY = "none"  # servers of one's own mostly want none, the client wants some


def key_of_environment(*, needed: bool) -> str:
    """The key, or a stand-in where none is set and none is needed.

    Raises:
        InputError: no key, or what cannot be one. The line never shows it.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and needed:
        raise InputError(f"no key; set the environment variable {KEY_VARIABLE}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(f"{KEY_VARIABLE} is not a key; allowed: printable ASCII without spaces")
    return key or _NO_KEY


def checked_url(url: object) -> str:
    """An address whose end `/chat/completions` can be put behind. Raises InputError."""
    if not isinstance(url, str) or not _is_address(url):
        # Neither a password nor a token in the query is for anybody's eyes.
        shown = re.sub(r"//[^/]*@", "//", str(url)).partition("?")[0]
        what = "has a query" if "?" in str(url) else "is not an address"
        raise InputError(
            f"base_url {shown!r} {what}; allowed: http:// or https://, a host and a path, "
            "such as http://localhost:8000/v1"
        )
    return url


def checked_text(name: str, value: object) -> str:
    """Some text. Raises InputError."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} {value!r}: allowed: text that is not empty")
    return value


def checked_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """One of these. Raises InputError."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} {value!r}: allowed: {', '.join(allowed)}")
    return value


def checked_count(name: str, value: object, least: int) -> int:
    """A whole number from `least` up. Raises InputError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} {value!r}: allowed: whole numbers from {least} up")
    return value


def checked_seconds(name: str, value: object) -> float:
    """A time. Raises InputError."""
    seconds = _number(value)
    if seconds is None or seconds <= 0:
        raise InputError(f"{name} {value!r}: allowed: numbers above 0")
    return seconds


def checked_price(name: str, value: object) -> float | None:
    """US dollars, or None where nobody says. Raises InputError."""
    if value is None:
        return None
    usd = _number(value)
    if usd is None or usd < 0:
        raise InputError(f"{name} {value!r}: allowed: numbers from 0 up")
    return usd


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # raises where it is none
        if ":" in host or re.fullmatch(r"[\d.]+", host):
            ipaddress.ip_address(host)
        elif not re.fullmatch(r"[A-Za-z0-9._-]+", host.encode("idna").decode("ascii")):
            return False
    except ValueError:
        return False
    plain = url.isprintable() and not any(mark in url for mark in " ?#")
    return plain and parts.scheme in ("http", "https")
