"""W3C annotation pages, edited elsewhere, as what people said: also Open Annotation's lists, as IIIF 2 has them.

    {"type": "AnnotationPage", "items": [annotation, …]}             the W3C's model, IIIF 3, Mirador 3 and 4, annona
    {"@type": "sc:AnnotationList", "resources": [annotation, …]}     Open Annotation, IIIF 2, Mirador 2
    [annotation, …], or one annotation alone

Taken are annotations on whole pictures by people: made or changed by a creator, or not by a program. What a program
made and nobody has touched, and what is on a part of a picture, is left out and counted. An annotation's text is its
label: of several bodies those that tag or classify, else the one there is; its HTML is text. `TASK: label` names the
task.
"""

from __future__ import annotations

import html
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from artray.catalogs.statements import Annotation, Statement, cell_of, moment, one_line

MACHINE, REGION, TEXTLESS = (
    "made by a program, and not touched by anybody",
    "on a part of a picture",
    "without a text or a picture",
)
_LISTS = ("items", "resources", "first")
_TAG = re.compile(r"<[^>]*>")
_OWN = re.compile(r"/annotation/([^/]+)$")
_PURPOSES = ("tagging", "classifying")
_REJECTED = "rejected"


def urn_of(kind: str, name: str) -> str:
    """The name of something that has no address, such as an annotation that goes out; the same for the same name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"artray:{kind}/{name}").urn


def parsed(data: bytes) -> Any | None:
    """What a file holds if it is an annotation page; None: it is something else."""
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) or b"nnotation" not in data:
        return None
    try:
        value = json.loads(data.decode("utf-8-sig"))
        return value if any(True for _ in _annotations(value)) or _is_page(value) else None
    except (ValueError, RecursionError):
        return None


def names_its_pages(value: Any) -> bool:
    """Whether it is a collection whose annotations lie in other files."""
    if not isinstance(value, dict) or any(True for _ in _annotations(value)):
        return False
    kinds = _texts(value.get("type", value.get("@type")))
    return any(kind.endswith(("AnnotationCollection", "Layer")) for kind in kinds)


def read_page(value: Any) -> Iterator[Annotation | str]:
    """What people said, or for an annotation that is left out, why."""
    for annotation in _annotations(value):
        yield _read(annotation)


def _is_page(value: Any) -> bool:
    return isinstance(value, dict) and any(
        kind.endswith(("AnnotationPage", "AnnotationList", "AnnotationCollection", "Layer"))
        for kind in _texts(value.get("type", value.get("@type")))
    )


def _annotations(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _annotations(item)
    elif isinstance(value, dict):
        kinds = _texts(value.get("type", value.get("@type")))
        if any(kind.endswith("Annotation") for kind in kinds):
            yield value
            return
        for name in _LISTS:
            if isinstance(value.get(name), (list, dict)):
                yield from _annotations(value[name])


def _read(annotation: Mapping[str, Any]) -> Annotation | str:
    people = one_line(_name(annotation.get("creator", annotation.get("oa:annotatedBy"))))
    changed = annotation.get("modified")
    if annotation.get("generator") and not people and not changed:
        return MACHINE
    target, is_part = _target(annotation.get("target", annotation.get("on")))
    if is_part:
        return REGION
    name = annotation.get("id", annotation.get("@id"))
    name = name if isinstance(name, str) else None
    labels, is_rejected = _labels(annotation.get("body", annotation.get("resource")))
    if not (labels or is_rejected) or not (target or name):
        return TEXTLESS
    at = moment(_text(changed) or _text(annotation.get("created")) or _text(annotation.get("oa:annotatedAt")))
    if name and (match := _OWN.search(name)):
        name = unquote(match[1])
    label = None if is_rejected else cell_of(labels)
    return Annotation(Statement(label, None, people, at), target=target, name=name)


def _labels(body: Any) -> tuple[list[str], bool]:
    """The labels that the bodies name, and whether they say that none is right."""
    found: list[tuple[str, str]] = []
    for item in body if isinstance(body, list) else [body]:
        if isinstance(item, str) and not item.startswith(("http://", "https://", "urn:")):
            found.append(("", item))
        elif isinstance(item, dict):
            text = item.get("value", item.get("chars", item.get("cnt:chars")))
            purpose = "tagging" if "oa:Tag" in _texts(item.get("@type")) else _text(item.get("purpose")) or ""
            if isinstance(text, str):
                found.append((purpose, text))
    texts = [(purpose, _plain(text)) for purpose, text in found]
    if any(purpose == "assessing" and text == _REJECTED for purpose, text in texts):
        return [], True
    tags = [text for purpose, text in texts if purpose in _PURPOSES and text]
    others = [text for purpose, text in texts if purpose not in (*_PURPOSES, "assessing") and text]
    return list(dict.fromkeys(tags)) or others[:1], False


def _target(target: Any) -> tuple[str | None, bool]:
    """The address of a whole picture, and whether only a part of it is meant."""
    if isinstance(target, list):
        return _target(target[0]) if len(target) == 1 else (None, False)
    if isinstance(target, dict):
        is_part = bool(target.get("selector"))
        source = target.get("source", target.get("full", target.get("id", target.get("@id"))))
        whole_address, is_fragment = _target(source) if source is not target else (None, False)
        return whole_address, is_part or is_fragment
    if not isinstance(target, str):
        return None, False
    address, _, fragment = target.partition("#")
    return address, fragment.startswith(("xywh=", "t="))


def _name(person: Any) -> str | None:
    if isinstance(person, list):
        return next((name for name in map(_name, person) if name), None)
    if isinstance(person, dict):
        if person.get("type") == "Software":
            return None
        known = (person.get(key) for key in ("name", "foaf:name", "nickname", "email", "id", "@id"))
        return next((name for name in known if isinstance(name, str) and name.strip()), None)
    return person if isinstance(person, str) else None


def _plain(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def _text(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("@value")
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
