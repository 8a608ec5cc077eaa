"""The desk in two languages: every message is translated, and no text of a template is outside of messages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import desk_catalogue as catalogue
import pytest
from babel.messages.checkers import checkers
from desk_client import Desk
from desk_company import REPORTS
from jinja2.lexer import Lexer
from markupsafe import escape

from fedelta.models.loyalty.persona_traits import TRAITS, Trait
from fedelta.serve.desk.environment import TEMPLATES, environment
from fedelta.serve.desk.prose import translated
from fedelta.serve.desk.words import LANGUAGES, preferred, words

OTHERS = sorted(set(LANGUAGES) - {"en"})
SWAPPED = str.maketrans(",.", ".,")
NAMES = {"fedelta", "CSV", "XLSX"}  # the same in every language


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogue_has_exactly_the_messages_of_the_code_each_translated(language: str) -> None:
    assert catalogue.untranslated(language) == []
    assert catalogue.path_of(language).read_bytes() == catalogue.updated(language)
    held = catalogue.catalogue(language)
    for message in held:
        for check in checkers:
            check(held, message)  # placeholders are the same


def plain_text(source: str) -> list[str]:
    """Words of a template that stand outside of messages, markup and attributes."""
    lexer, text, within = Lexer(environment("en")), "", False
    for _, kind, value in lexer.tokeniter(source, None):
        if kind == "name" and value in {"trans", "endtrans"}:
            within = value == "trans"
        elif kind == "data" and not within:
            text += value
        elif kind.endswith("_begin"):
            text += "\0"
    text = re.sub(r"<[^>]*>", " ", text)
    return [word for word in re.findall(r"[^\W\d_]{2,}", re.sub(r"&\w+;", " ", text)) if word not in NAMES]


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.name)
def test_a_template_says_nothing_outside_of_messages(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert plain_text(source) == []
    spoken = re.findall(r'(?:placeholder|aria-label|title|alt)="([^"{]+)"', source)
    assert spoken == []


def test_a_word_outside_of_messages_is_found() -> None:
    assert plain_text('<p title="x">{{ _("Hello") }} there{% trans %}good{% endtrans %}</p>') == ["there"]


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("it", "it"),
        ("it-CH,it;q=0.9,en;q=0.8", "it"),
        ("en;q=0.5,it", "it"),
        ("de,it;q=0.1", "it"),
        ("de", "en"),
        ("", "en"),
        ("it;q=0", "en"),
        (";;,q", "en"),
    ],
)
def test_the_browser_chooses_the_language(asked: str, language: str) -> None:
    assert preferred(asked) == language


def test_figures_are_written_as_the_locale_does() -> None:
    en, it = words("en"), words("it")
    assert (en.money(1234.4, "EUR"), it.money(1234.4, "EUR")) == ("€1,234", "1.234\xa0€")
    assert (en.money(-12345.6, "EUR"), it.money(12345.6, "EUR")) == ("−€12,346", "12.346\xa0€")
    assert (en.share(0.1234, 1), it.share(0.1234, 1)) == ("12.3%", "12,3%")
    assert (en.points(0.05), it.points(-0.0512)) == ("+5.0", "−5,1")
    assert (en.day("2024-02-12"), it.day("2024-02-12T10:00:00Z")) == ("12 Feb 2024", "12 feb 2024")
    assert (en.value("late_delivery"), it.value("critical"), en.number(None)) == ("late delivery", "critico", "–")


def sentences() -> Iterator[str]:
    """What the stages said of a company's personas and of its newest month."""
    loyalty, drift = (json.loads((REPORTS / f"{name}.json").read_text()) for name in ("loyalty", "drift"))
    for card in loyalty["personas"]["cards"]:
        yield from (*card["apart"], *card["does"], *card["praises"], *card["complains"])
    yield from (check["says"] for check in drift["checks"])
    yield from json.loads((REPORTS / "data.json").read_text())["warnings"]


@pytest.mark.parametrize("text", sorted({*sentences()}))
def test_what_stages_said_is_said_again_in_italian_with_the_same_figures(text: str) -> None:
    found = str(translated(words("it"), text))
    assert 'lang="en"' not in found
    plain = found.replace("&#39;", " ")
    figures = re.findall(r"(?<![\w_-])\d[\d,.]*(?=[^\w-]|d?$)", re.sub(r"\d{4}-\d\d-\d\d", "", text))
    assert [each.rstrip(",.") for each in figures if each.rstrip(",.").translate(SWAPPED) not in plain] == []
    assert str(translated(words("en"), text)) == str(escape(text))


def test_what_is_no_sentence_of_ours_stays_english_and_is_marked() -> None:
    assert translated(words("it"), "<b>Odd</b> on 3") == '<span lang="en">&lt;b&gt;Odd&lt;/b&gt; on 3</span>'


@pytest.mark.parametrize("trait", TRAITS, ids=lambda trait: trait.column)
def test_every_trait_of_a_persona_has_words(trait: Trait) -> None:
    it = words("it")
    line = str(translated(it, f"{trait.says} 1,234.5, of all 2 (-0.6 standard deviations)"))
    assert line.endswith(": 1.234,5, di tutti 2 (−0,6 deviazioni standard)")
    assert trait.says not in line
    for word in filter(None, (trait.more, trait.less)):
        assert it.value(f"{word} low-spending customers 2").startswith("clienti ")


def test_a_user_chooses_a_language_whatever_the_browser_asks(visit: object) -> None:
    desk: Desk = visit("agent", "it")  # type: ignore[operator]
    assert "La mia giornata" in desk.get("/desk").text
    assert desk.send("/desk/settings", "/desk/settings", language="en").status_code == 303
    page = desk.get("/desk")
    assert "My day" in page.text
    assert "The settings are saved." in page.text
    assert "data-shortcuts" not in page.text  # the box was not checked
