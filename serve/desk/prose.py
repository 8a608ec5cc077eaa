"""Sentences that stages wrote into their reports, in English, in the reader's language.

A message of ``SENTENCES`` is a sentence as a stage writes it, with places for what differs: figures, words of the
data, ``PARTS``, and several of them where its name begins with ``each_``. What no message fits is shown in English, and
marked so.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from fedelta.serve.desk.sentences import PARTS, SENTENCES
from fedelta.serve.desk.words import VALUES, Words

_LONG = {
    "advice", "before", "bulk", "column", "customer", "examples", "experience", "experiences", "few",
    "findings", "functions", "gap", "its", "kind", "layer", "mine", "most", "name", "names", "now", "one",
    "other", "rest", "rules", "signs", "sql", "survey", "topic", "trait", "values", "verdict", "what", "when",
    "who",
}  # fmt: skip
_MAYBE = {"apart", "unseen", "where"}  # may be empty
_PLACE = re.compile(r"%\\\((\w+)\\\)s")
_FIGURE = re.compile(r"[-+]?\d[\d,.]*%?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_BETWEEN = re.compile(r"(?<=[.?]) (?=[^a-z ])")  # two sentences
_LABEL = re.compile(r"(.+) \((.+)\)|(.+) ([\d.]+%)")  # late delivery (expectations), email 29%


def translated(words: Words, text: str) -> Markup:
    """A sentence of a report, for pages."""
    if words.language == "en":
        return escape(text)
    found = _in_words(words, text)
    return Markup('<span lang="en">{}</span>').format(text) if found is None else escape(found)


@lru_cache(2_000)
def _in_words(words: Words, text: str) -> str | None:
    """A sentence, or several one after the other, in the reader's language; None where one of them fits no message."""
    if (found := _again(words, text, SENTENCES)) is not None:
        return found
    for end in reversed([match.start() for match in _BETWEEN.finditer(text)]):
        first = _again(words, text[:end], SENTENCES)
        if first is not None and (rest := _in_words(words, text[end + 1 :])) is not None:
            return f"{first} {rest}"
    return None


def _again(words: Words, text: str, messages: Sequence[str]) -> str | None:
    """A text in the reader's language, None where no message fits it."""
    for message in messages:
        if match := _pattern(message).fullmatch(text):
            places = {name: _place(words, name, held) for name, held in match.groupdict().items()}
            return words.gettext(message) % places
    return None


def _place(words: Words, name: str, text: str) -> str:
    if name.startswith("each_"):
        sign = "; " if "; " in text else ", "
        return sign.join(_place(words, "", each) for each in text.split(sign))
    if _FIGURE.fullmatch(text) or _DAY.fullmatch(text):
        return words.day(text) if _DAY.fullmatch(text) else words.figure(text)
    if (label := text.replace(" ", "_")) in VALUES:
        return words.value(label)
    if (found := _again(words, text, PARTS)) is not None:
        return found
    if match := _LABEL.fullmatch(text):
        what, of, channel, share = (_place(words, "", each) if each else "" for each in match.groups())
        return f"{what} ({of})" if what else f"{channel} {share}"
    return text


@lru_cache(1_000)
def _pattern(message: str) -> re.Pattern[str]:
    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name in _MAYBE:
            return f"(?P<{name}>.*?)"
        return f"(?P<{name}>{'.+?' if name in _LONG or name.startswith('each_') else '[^ ]+'})"

    return re.compile(_PLACE.sub(place, re.escape(message.replace("%%", "%"))))
