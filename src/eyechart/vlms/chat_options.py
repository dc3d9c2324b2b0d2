"""Checks of a server's options, before anything is sent or stored."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from eyechart.core.errors import InputError

KEY_VARIABLE, URL_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"
OPENAI_URL = "https://api.openai.com/v1"
_LONGEST_S = 1_000_000  # timers do not take much more
_NO_KEY = "none"  # most local servers need no key, but the client library requires one


def url_of_environment() -> str:
    """The address in OPENAI_BASE_URL, as the openai package reads it, else OpenAI's own.

    Raises:
        InputError: the variable is set and is not an address.
    """
    url = os.environ.get(URL_VARIABLE, "").strip()
    return checked_url(url, URL_VARIABLE) if url else OPENAI_URL


def key_of_environment(*, needed: bool) -> str:
    """The key, or a placeholder if none is set and none is needed.

    Raises:
        InputError: no key, or text that cannot be one. The message does not contain it.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and needed:
        raise InputError(f"no key; set the environment variable {KEY_VARIABLE}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(f"{KEY_VARIABLE} is not a key; allowed: printable ASCII without spaces")
    return key or _NO_KEY


def checked_url(url: object, name: str = "base_url") -> str:
    """An address that `/chat/completions` can be appended to. Raises InputError."""
    if not isinstance(url, str) or not _is_address(url):
        # A password, or a token in the query, must not be shown.
        shown = re.sub(r"//[^/]*@", "//", str(url)).partition("?")[0]
        what = "has a query" if "?" in str(url) else "is not an address"
        raise InputError(
            f"{name} {shown!r} {what}; allowed: http:// or https://, a host and a path, "
            "such as http://localhost:8000/v1"
        )
    return url


def checked_text(name: str, value: object) -> str:
    """The value if it is text that is not empty. Raises InputError."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} {value!r}: allowed: text that is not empty")
    return value


def checked_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """The value if it is one of the allowed. Raises InputError."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} {value!r}: allowed: {', '.join(allowed)}")
    return value


def checked_flag(name: str, value: object) -> bool:
    """The value if it is true or false. Raises InputError."""
    if not isinstance(value, bool):
        raise InputError(f"{name} {value!r}: allowed: true, false")
    return value


def checked_count(name: str, value: object, least: int) -> int:
    """A whole number from `least` up. Raises InputError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} {value!r}: allowed: whole numbers from {least} up")
    return value


def checked_seconds(name: str, value: object) -> float:
    """A duration in seconds. Raises InputError."""
    seconds = _number(value)
    if seconds is None or not 0 < seconds <= _LONGEST_S:
        raise InputError(f"{name} {value!r}: allowed: numbers above 0, to {_LONGEST_S:,}")
    return seconds


def checked_price(name: str, value: object) -> float | None:
    """US dollars from 0 up, or None if none are given. Raises InputError."""
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
        _ = parts.port  # raises ValueError for a bad port
        if ":" in host or re.fullmatch(r"[\d.]+", host):
            ipaddress.ip_address(host)
        elif not re.fullmatch(r"[A-Za-z0-9._-]+", host.encode("idna").decode("ascii")):
            return False
    except ValueError:
        return False
    plain = url.isprintable() and not any(mark in url for mark in " ?#")
    return plain and parts.scheme in ("http", "https")
