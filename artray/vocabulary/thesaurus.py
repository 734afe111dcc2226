"""A museum's own thesaurus as a vocabulary: SKOS in any form that rdflib reads, or a CSV.

    SKOS   .ttl, .rdf, .xml, .jsonld, .nt: each skos:Concept is a class; its name is the preferred label, its aliases
           are the other labels in all languages, its URI is the concept's, equivalents are exact matches
    CSV    columns `name` (or label, preflabel), and if there are any `uri` (or id), `aliases` (or altlabel; with
           semicolons between them), `wikidata`, `iconclass` (a number or a whole address)

Classes are sorted by name, so that their order does not depend on the file's. A spelling that several concepts share as
an alias names none of them; of concepts of one name the first by URI has it, and the others are called by name and URI.
Rows of one name that have the same URI, or none, are one concept.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import PurePosixPath
from typing import Any

from artray.errors import InputError
from artray.vocabulary import ELSEWHERE, Class, Vocabulary, address_elsewhere, fold

SKOS = {".ttl": "turtle", ".rdf": "xml", ".xml": "xml", ".jsonld": "json-ld", ".nt": "nt"}
_LANGUAGES = (None, "en")
_NAMES = ("name", "label", "preflabel")
_URIS = ("uri", "id")
_ALIASES = ("aliases", "altlabel")


def parse_thesaurus(data: bytes, name: str, language: str | None = None) -> Vocabulary:
    """A vocabulary from a file.

    Args:
        data: Its bytes.
        name: Its name, which says the format.
        language: In which the classes are named; default: without a language, English, or the commonest.

    Raises:
        InputError: It can't be read, rdflib is missing, or it holds no concepts.
    """
    suffix = PurePosixPath(name).suffix.lower()
    classes = list(_csv(data, name) if suffix == ".csv" else _skos(data, name, SKOS[suffix], language))
    if not classes:
        raise InputError(f"vocabulary {name} holds no concepts with a label")
    classes.sort(key=lambda each: (each.name, each.uri or ""))
    return Vocabulary(PurePosixPath(name).stem, f"From {PurePosixPath(name).name}", tuple(_distinct(classes)))


def _distinct(classes: list[Class]) -> Iterator[Class]:
    """Classes of which no two share a spelling."""
    class_of: dict[str, Class] = {}
    for each in classes:
        name = each.name
        if (known := class_of.get(fold(name))) and each.uri not in (None, known.uri):
            name = f"{each.name} <{each.uri}>"
            known = class_of.get(fold(name))
        if known is not None:
            aliases, equivalents = (*known.aliases, *each.aliases), (*known.equivalents, *each.equivalents)
            each = replace(known, aliases=aliases, equivalents=tuple(dict.fromkeys(equivalents)))
        class_of[fold(name)] = replace(each, name=name if known is None else known.name)
    named = class_of.values()
    counted = Counter(spelling for each in named for spelling in {fold(alias) for alias in each.aliases})
    for each in named:
        free = [alias for alias in each.aliases if counted[fold(alias)] == 1 and fold(alias) not in class_of]
        yield replace(each, aliases=tuple(dict.fromkeys(free)))


def _csv(data: bytes, name: str) -> Iterator[Class]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"vocabulary {name}: is not UTF-8 (byte {error.start:,}); save it as UTF-8") from None
    first = text.partition("\n")[0]
    rows = csv.DictReader(StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    columns = {str(column).strip().casefold(): column for column in rows.fieldnames or ()}
    there = next((columns[known] for known in _NAMES if known in columns), None)
    if there is None:
        raise InputError(f"vocabulary {name}: has no column name (it has: {', '.join(columns) or 'none'})")

    def cell(row: dict[str, str], names: tuple[str, ...]) -> str:
        return next((str(row[columns[known]] or "").strip() for known in names if known in columns), "")

    for row in _rows(rows, name):
        if label := (row[there] or "").strip():
            aliases = [alias.strip() for alias in cell(row, _ALIASES).split(";") if alias.strip()]
            told = ((key, cell(row, (key,))) for key in ELSEWHERE)
            try:
                same = [address_elsewhere(key, at) for key, at in told if at]
            except InputError as error:
                raise InputError(f"vocabulary {name}, line {rows.line_num:,}: {error}") from None
            yield Class(label, cell(row, _URIS) or None, tuple(aliases), tuple(same))


def _rows(reader: csv.DictReader[str], name: str) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(f"vocabulary {name}: can't be read after line {reader.line_num:,} ({error})") from None


def _skos(data: bytes, name: str, form: str, language: str | None) -> Iterator[Class]:
    try:
        from rdflib import Graph, Literal
        from rdflib.namespace import RDF
        from rdflib.namespace import SKOS as TERMS
    except ImportError:
        raise InputError(f"vocabulary {name}: SKOS is read by rdflib: pip install 'artray[skos]'") from None
    graph = Graph()
    try:
        graph.parse(data=data, format=form)
    except Exception as error:  # each format's parser has errors of its own
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"vocabulary {name}: can't be read as {form} ({line})") from None

    def labels(concept: Any, *terms: Any) -> list[Any]:
        labels = [label for term in terms for label in graph.objects(concept, term) if isinstance(label, Literal)]
        return sorted(labels, key=lambda label: (label.language or "", str(label)))

    concepts = sorted(set(graph.subjects(RDF.type, TERMS.Concept)), key=str)
    counted = Counter(label.language for each in concepts for label in labels(each, TERMS.prefLabel))
    common = [tongue for tongue, _ in counted.most_common()]
    wanted = [language, *_LANGUAGES, *common] if language else [*_LANGUAGES, *common]
    for concept in concepts:
        names = {label.language: str(label).strip() for label in labels(concept, TERMS.prefLabel)}
        preferred = next((names[tongue] for tongue in wanted if names.get(tongue)), None)
        if preferred is None:
            continue
        others = {str(label).strip() for label in labels(concept, TERMS.altLabel, TERMS.hiddenLabel)}
        same = sorted(str(match) for match in graph.objects(concept, TERMS.exactMatch))
        yield Class(preferred, str(concept), tuple(sorted({*names.values(), *others} - {preferred, ""})), tuple(same))
