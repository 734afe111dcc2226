"""IIIF image services that records name: the one thing that the page asks a network for, when a work is enlarged."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The picture's information, or a picture that the service made, in versions 1 to 3 of the Image API: the first of the
# addresses in a cell, whatever stands between them.
_ADDRESS = re.compile(
    r"(https?://(?:(?!https?://)[^\s|\"<>])+?)"
    r"/(?:info\.json|full/[^/\s]+/[^/\s]+/(?:default|native|color|gr[ae]y)\.\w+)(?![^\s|\"<>;,)\]])"
)
# A column of the services themselves is known by its name only.
_NAMED = re.compile(r"iiif|image_?service", re.IGNORECASE)
_OTHER = re.compile(r"manifest|canvas|collection|thumb", re.IGNORECASE)
_BASE = re.compile(r"(https?://[^\s|\"<>?#]+?)/?")
_FILE = re.compile(r"\.\w{2,5}")
_ORIGIN = re.compile(r"https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::(\d{1,5}))?(?=/)", re.IGNORECASE)
_LAST_PORT = 65535


def image_service(record: Mapping[str, str]) -> str | None:
    """The address of the IIIF image service of a work's picture.

    Args:
        record: The catalogue's fields as text.

    Returns:
        The service's address without a slash at its end: by a field that holds the address of its `info.json` or of a
        picture that it made, else by one named after IIIF that holds an address which is no manifest and no file. None:
        the record names no service.
    """
    addresses = {name: value.strip() for name, value in record.items() if "://" in value}
    for value in addresses.values():
        if (match := _ADDRESS.search(value)) and origin(match[1]):
            return match[1]
    for name, value in addresses.items():
        match = _BASE.fullmatch(value) if _NAMED.search(name) and not _OTHER.search(name + value) else None
        if match and origin(match[1]) and not _FILE.search(match[1].rpartition("/")[2]):
            return match[1]
    return None


def origin(address: str) -> str | None:
    """Protocol, host and port of an address, with nothing in them that could end a word of a security policy."""
    match = _ORIGIN.match(address)
    return match[0].lower() if match and int(match[1] or 0) <= _LAST_PORT else None
