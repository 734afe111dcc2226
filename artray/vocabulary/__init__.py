"""What a label can be: the classes of each task, in order, with their names elsewhere.

A vocabulary is a YAML file in this folder. Class order is part of it, so that a model's class 3 means the same
everywhere. `aat` is the number of the concept in the Getty's Art & Architecture Thesaurus, `wikidata` its item there,
`iconclass` its notation; what has no good evidence is left out. A museum's own thesaurus will do as well: see
`artray.vocabulary.thesaurus`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from urllib.parse import quote

import yaml

from artray.errors import InputError

AAT = "http://vocab.getty.edu/aat/"
WIKIDATA = "http://www.wikidata.org/entity/"
ICONCLASS = "https://iconclass.org/"

ELSEWHERE = {"wikidata": WIKIDATA, "iconclass": ICONCLASS}
"""What a concept's numbers there begin with to be URIs."""
# All notations that the package `iconclass` lists in English are of this form, with names in brackets and keys.
_NOTATION = re.compile(r"\d(?:\d0?(?:[A-Z]{1,2}(?:\d+|\([^()]+\))*)?(?:\([^()]+\)\d*)*)?(?:\(\+\d+\))*")
# 25 F 23 (LION) (+ 46), as it is printed; a name's own spaces stay.
_SPACES_BETWEEN = re.compile(r"\s+(?![^(]*\))|(?<=\()\s+|(?<=\(\+)\s+|\s+(?=\))")
_NUMBER_OR_GRADE = re.compile(r"[-−–‐+]?\d+([.,]\d+)?|\w[-−–‐]")


def fold(text: str) -> str:
    """Text as labels are compared: no case, one apostrophe, one space for spaces, hyphens, underscores, slashes, dots.

    The sign and the point of a number, and the minus of a grade, make another label.

    >>> fold(" Post-Impressionism ") == fold("post_impressionism")
    True
    >>> fold("-1") == fold("1") or fold("1.5") == fold("15") or fold("A-") == fold("A")
    False
    """
    text = text.casefold().strip()
    if _NUMBER_OR_GRADE.fullmatch(text):
        return re.sub("[−–‐]", "-", text)
    return re.sub("[’ʼ`´′]", "'", re.sub(r"[\s_\-‐–/.]+", " ", text).strip())


def address_elsewhere(kind: str, number: str) -> str:
    """The URI of a concept's number, one of `ELSEWHERE`'s; an address stays as it is.

    Raises:
        InputError: It is no Iconclass notation.

    >>> address_elsewhere("iconclass", "25 F 23 (LION)")
    'https://iconclass.org/25F23%28LION%29'
    """
    if "://" in number:
        return number
    if kind == "iconclass":
        told, number = number, _SPACES_BETWEEN.sub("", number)
        if not _NOTATION.fullmatch(number):
            raise InputError(
                f"{told!r} is no Iconclass notation, such as 25F23(LION) or 48C7341: correct it, leave it out, or give "
                "its whole address"
            )
    return f"{ELSEWHERE[kind]}{quote(number)}"


@dataclass(frozen=True, slots=True)
class Class:
    """One class: its name, the URI of its concept if that is known, other names for it, and its URIs elsewhere."""

    name: str
    uri: str | None = None
    aliases: tuple[str, ...] = ()
    equivalents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The classes of a task.

    Attributes:
        name: The task's name.
        description: One line on it.
        classes: The classes, in order.
        groupings: Coarser classes by the grouping's name: group to the names of its classes. Groups are in order.
        missing: For a grouping in which "no label" belongs to a group: that group.
    """

    name: str
    description: str
    classes: tuple[Class, ...]
    groupings: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names, in order."""
        return tuple(each.name for each in self.classes)

    def spellings(self) -> dict[str, str]:
        """Class name of each folded name and alias."""
        return {fold(text): each.name for each in self.classes for text in (each.name, *each.aliases)}

    def find(self, text: str) -> str | None:
        """The class that a text names, or None."""
        return self.spellings().get(fold(text))

    def uri(self, name: str) -> str | None:
        """The URI of a class's concept, or None."""
        return next((each.uri for each in self.classes if each.name == name), None)

    def equivalents(self, name: str) -> tuple[str, ...]:
        """The URIs of a class's concept in Wikidata and Iconclass, as far as they are known."""
        return next((each.equivalents for each in self.classes if each.name == name), ())

    def group(self, name: str, grouping: str) -> str | None:
        """The group of a class, None if the grouping leaves it out.

        Raises:
            InputError: There is no such grouping.
        """
        return next((group for group, members in self.grouping(grouping).items() if name in members), None)

    def grouping(self, grouping: str) -> Mapping[str, tuple[str, ...]]:
        """The groups of a grouping with their classes.

        Raises:
            InputError: There is no such grouping.
        """
        if grouping not in self.groupings:
            known = ", ".join(self.groupings) or "none"
            raise InputError(f"vocabulary {self.name} has no grouping {grouping!r} (it has: {known})")
        return self.groupings[grouping]


@cache
def vocabularies() -> tuple[str, ...]:
    """Names of the vocabularies that come with artray."""
    return tuple(sorted(f.name[:-5] for f in resources.files(__package__).iterdir() if f.name.endswith(".yaml")))


@cache
def load_vocabulary(name: str) -> Vocabulary:
    """A vocabulary that comes with artray.

    Raises:
        InputError: There is none of that name.
    """
    if name not in vocabularies():
        raise InputError(f"there is no vocabulary {name!r}, but {', '.join(vocabularies())}")
    return parse_vocabulary((resources.files(__package__) / f"{name}.yaml").read_text("utf-8"), name)


def parse_vocabulary(text: str, name: str) -> Vocabulary:
    """A vocabulary from YAML.

    Raises:
        InputError: It isn't one: a spelling that two classes share, a group of unknown classes, no classes.
    """
    try:
        content = yaml.safe_load(text)
        classes = tuple(_class(entry) for entry in content["classes"])
        groupings = {
            key: {str(group): tuple(members) for group, members in groups.items()}
            for key, groups in content.get("groupings", {}).items()
        }
        vocabulary = Vocabulary(name, content.get("description", ""), classes, groupings, content.get("missing", {}))
    except InputError as error:
        raise InputError(f"vocabulary {name}: {error}") from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"vocabulary {name} can't be read ({type(error).__name__})") from None
    owners: dict[str, str] = {}
    for each in classes:
        for spelling in {fold(each.name), *map(fold, each.aliases)}:
            if owners.setdefault(spelling, each.name) != each.name:
                raise InputError(f"vocabulary {name}: {spelling!r} names both {owners[spelling]} and {each.name}")
    for key, groups in groupings.items():
        members = [member for group in groups.values() for member in group]
        if len(set(members)) < len(members) or not set(members) <= set(vocabulary.names):
            raise InputError(f"vocabulary {name}: grouping {key} has a class twice or one that does not exist")
    if any(group not in groupings.get(key, {}) for key, group in vocabulary.missing.items()):
        raise InputError(f"vocabulary {name}: missing names a group that does not exist")
    if not classes:
        raise InputError(f"vocabulary {name} has no classes")
    return vocabulary


def _class(entry: str | dict[str, object]) -> Class:
    if isinstance(entry, str):
        return Class(entry)
    unknown = set(entry) - {"name", "aat", "aliases", *ELSEWHERE}
    if unknown:
        raise KeyError(*unknown)
    aliases = entry.get("aliases", [])
    if not isinstance(aliases, list):
        raise TypeError("aliases")
    return Class(
        str(entry["name"]),
        f"{AAT}{entry['aat']}" if "aat" in entry else None,
        tuple(map(str, aliases)),
        tuple(address_elsewhere(key, str(entry[key])) for key in ELSEWHERE if key in entry),
    )
