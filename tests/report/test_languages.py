"""The pages' own words: none is missing in any language, and each is used."""

import re
from importlib.resources import files

import pytest

from artray.report.evaluation_sections import EvaluationSections
from artray.report.languages import LANGUAGES, Speech, filled, read_words
from artray.report.page import MODULES, write_page

ROOM = files("artray.report")
MADE = ("reason.", "queue.", "run.", "verdict.", "ev.")
"""Keys that are put together of parts."""


def placeholders(words: object) -> set[str]:
    texts = [words] if isinstance(words, str) else list(words.values())
    return set(re.findall(r"\{(\w+)\}", " ".join(texts)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_missing_and_each_has_its_values(language):
    words, english = read_words(language), read_words("en")
    assert list(words) == list(english)
    for key, text in words.items():
        assert isinstance(text, str) == isinstance(english[key], str), key
        assert placeholders(text) == placeholders(english[key]), key
        assert "_" not in re.sub("object_id", "", str(text)), key
        if not isinstance(text, str):
            assert set(text) == {"one", "other"}, key


def test_each_word_that_is_said_is_there_and_none_is_left_over():
    english = read_words("en")
    sources = [ROOM.joinpath("script", f"{name}.js").read_text("utf-8") for name in MODULES]
    sources += [ROOM.joinpath(f"{name}.py").read_text("utf-8") for name in ("evaluation", "evaluation_sections")]
    text = "\n".join(sources)
    said = set(re.findall(r"say\(\s*[\"']([\w.]+)[\"']", text))
    said |= set(re.findall(r"\{\{([\w.]+)\}\}", ROOM.joinpath("page.html").read_text("utf-8"))) - {
        "language",
        "image_services",
    }
    assert said <= set(english), said - set(english)
    quoted = said | set(re.findall(r"[\"']([a-z][\w.]+)[\"']", text))
    assert {key for key in english if not key.startswith(MADE)} <= quoted


def test_numbers_and_plurals_are_the_languages_own():
    assert Speech("en")("works", n=1) == "1 work"
    assert Speech("en")("works", n=0) == "0 works"
    assert Speech("fr")("works", n=0) == "0 œuvre"
    assert Speech("de")("works", n=12_345) == "12.345 Werke"
    assert Speech("en")("model_named", id="{n} <b>") == "Model {n} <b>"


def test_shares_are_as_the_script_writes_them():
    shares = {None: "–", 0: "0_%", 0.003: "<_1_%", 0.625: "63_%", 0.995: ">_99_%", 1: "100_%"}
    assert {share: Speech("en").percent(share) for share in shares} == {
        share: text.replace("_", "\N{NO-BREAK SPACE}") for share, text in shares.items()
    }


def test_a_page_is_in_its_language_and_words_are_escaped(tmp_path):
    text = write_page(tmp_path, [], language="fr").read_text("utf-8")
    assert '<html lang="fr">' in text
    assert "Aller aux œuvres" in text
    assert "{{" not in text
    assert filled("<p>{{verdict.worse}}</p>", "en").count("<") == 2
    assert '"language":"fr"' in (tmp_path / "data" / "words.js").read_text("ascii").replace('\\"', '"')


def test_the_verdict_is_one_sentence_by_what_the_model_is_worth():
    def verdict(accuracy, low, constant=0.4, balanced=(0.7, 0.9)):
        level = {
            "n": 100,
            "accuracy": accuracy,
            "balanced_accuracy": 0.8,
            "confusion": [[1, 0], [0, 1]],
            "intervals": {"accuracy": [low, 1.0], "balanced_accuracy": list(balanced)},
            "majority": {"per_class": {"old": {"recall": 0}, "neu_2": {"recall": 1}}},
            "per_class": {"old": {"support": 40}, "neu_2": {"support": 60}},
        }
        evaluation = {"labels": "one", "task": "t", "majority_share": constant, "levels": {"artwork": level}}
        return EvaluationSections(evaluation, Speech("en")).verdict()

    assert verdict(0.3, 0.2) == "Worse than always saying “neu_2”: do not use these labels."
    assert verdict(0.5, 0.35).startswith("Not surely better than always saying “neu_2”")
    assert verdict(0.92, 0.8).startswith("Good: about 9 of 10")
    assert verdict(0.8, 0.7).startswith("Useful with checking")
    assert verdict(0.6, 0.5).startswith("Weak")
