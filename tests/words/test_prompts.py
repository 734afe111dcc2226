"""Files of prompts."""

import pytest

from artray.errors import InputError
from artray.storage import Location
from artray.words.prompts import read_prompts


def written(tmp_path, text):
    file = tmp_path / "prompts.yaml"
    file.write_text(text, encoding="utf-8")
    return Location.parse(file)


def test_every_word_in_every_template_of_its_language(tmp_path):
    text = """
        task: style
        templates: {en: ["a {} painting", "art, {}"], de: ["ein Gemälde: {}"]}
        classes:
          - Baroque
          - name: Cubism
            words: {en: [cubist, cubism], de: [Kubismus]}
          - name: Portrait
            prompts: ["the portrait of a person"]
        """
    found = read_prompts(written(tmp_path, text))
    assert found.names == ["Baroque", "Cubism", "Portrait"]
    baroque, cubism, portrait = map(found.texts, found.classes)
    assert baroque == ["a Baroque painting", "art, Baroque", "ein Gemälde: Baroque"]
    assert cubism == [
        *("a cubist painting", "art, cubist", "a cubism painting", "art, cubism"),
        "ein Gemälde: Kubismus",
    ]
    assert portrait == ["the portrait of a person"]


def test_the_least_that_is_needed(tmp_path):
    found = read_prompts(written(tmp_path, "task: a\nclasses: [x, y]"))
    assert [found.texts(item) for item in found.classes] == [["x"], ["y"]]


def test_templates_of_no_language_take_words_of_any(tmp_path):
    text = "task: a\nclasses: [{name: x, words: {en: [cube], de: [Würfel]}}, y]"
    found = read_prompts(written(tmp_path, text))
    assert [found.texts(item) for item in found.classes] == [["cube", "Würfel"], ["y"]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("task: A\nclasses: [x, y]", "task: String should match"),
        ("task: a\nclasses: [x]", "classes: List should have at least 2"),
        ("task: a\nclasses: [x, y]\nlabels: two", "labels: Input should be 'one' or 'multilabel'"),
        ("task: a\nclasses: [x, x]", "the class 'x' stands there 2 times"),
        ("task: a\nclasses: [x, y]\ntemplates: ['a painting']", "must have {} once"),
        ("task: a\nclasses: [x, y]\ntemplate: ['{}']", "template: Extra inputs"),
        (
            "task: a\nclasses: [{name: x, words: {fr: [z]}}, y]\ntemplates: {en: ['{}']}",
            "class 'x': no template is of the language 'fr'",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, told):
    with pytest.raises(InputError) as raised:
        read_prompts(written(tmp_path, text))
    assert told in str(raised.value)
    assert "prompts.yaml: " in str(raised.value)
