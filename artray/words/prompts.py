"""What classes are called, as a file: prompts, from which a model that knows words makes a classifier."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from artray.bundles.description import TASK, check_names
from artray.errors import InputError
from artray.job import read_yaml
from artray.storage import Location

PLACE = "{}"
"""Where a template takes the word."""

ByLanguage: TypeAlias = dict[str, list[str]]

_ANY = ""


def _by_language(given: object) -> object:
    """A plain list is of no language: it goes with all."""
    return {_ANY: given} if isinstance(given, list) else given


class PromptClass(BaseModel):
    """One class.

    Attributes:
        name: As in the catalogue, and in the labels.
        words: What else it is called, by language; the name itself where nothing is said.
        prompts: Whole sentences, which are taken as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    words: Annotated[ByLanguage, Field(default_factory=dict)]
    prompts: list[str] = []

    @field_validator("words", mode="before")
    @classmethod
    def _words_by_language(cls, words: object) -> object:
        return _by_language(words)


class Prompts(BaseModel):
    """A file of prompts.

    Attributes:
        task: What the labels are called.
        classes: At least two; a plain text is one that has a name only.
        templates: Sentences with `{}` for the word, by language.
        labels: Whether a work has one of the classes, or each may be said for itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(pattern=TASK)
    classes: list[PromptClass] = Field(min_length=2)
    templates: ByLanguage = {_ANY: [PLACE]}
    labels: Literal["one", "multilabel"] = "one"

    @field_validator("templates", mode="before")
    @classmethod
    def _templates_by_language(cls, templates: object) -> object:
        return _by_language(templates)

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, templates: ByLanguage) -> ByLanguage:
        for each in templates.values():
            for template in each:
                if template.count(PLACE) != 1:
                    raise ValueError(f"{template!r} must have {PLACE} once, where the word goes")
        if not any(templates.values()):
            raise ValueError("at least one is needed")
        return templates

    @field_validator("classes", mode="before")
    @classmethod
    def _names_alone(cls, classes: object) -> object:
        if not isinstance(classes, list):
            return classes
        return [{"name": item} if isinstance(item, str) else item for item in classes]

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Prompts:
        check_names([item.name for item in self.classes])
        known = set(self.templates)
        for item in self.classes:
            if _ANY not in known and (unknown := sorted(set(item.words) - known - {_ANY})):
                raise ValueError(f"class {item.name!r}: no template is of the language {unknown[0]!r}")
            if not self.texts(item):
                raise ValueError(f"class {item.name!r}: has no words that a template takes")
        return self

    @property
    def names(self) -> list[str]:
        """The classes' names, in order."""
        return [item.name for item in self.classes]

    def texts(self, item: PromptClass) -> list[str]:
        """All sentences of a class: each word in each template of its language, and the prompts as they are."""
        words = item.words or ({} if item.prompts else {_ANY: [item.name]})
        texts = list(item.prompts)
        for language, templates in self.templates.items():
            # A word of no language goes with all templates, and a template of none with all words.
            for word_language, each in words.items():
                if _ANY in (word_language, language) or word_language == language:
                    texts += [template.replace(PLACE, word) for word in each for template in templates]
        return list(dict.fromkeys(texts))


def read_prompts(file: Location) -> Prompts:
    """A file of prompts.

    Raises:
        InputError: It is not there, no YAML, or not what it should be; which key is wrong, and why.
    """
    if file.is_s3:
        raise InputError(f"--prompts {file}: must be a file on this machine")
    try:
        return Prompts.model_validate(read_yaml(str(file)))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise InputError(f"{file}: {where}: {fault['msg'].removeprefix('Value error, ')}") from error
