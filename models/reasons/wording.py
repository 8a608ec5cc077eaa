"""What the sentences of reasons are made of: days, words in several languages, and what is called how in a source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fedelta.features.experience_rules import LANGUAGES, Language, Rule
from fedelta.features.relationship import PURCHASES

REST = "rest"  # code of the last reason: everything that no other names
_YEAR_SHOWN_DAYS = 300  # after so many days a date comes with its year


@dataclass(frozen=True)
class Words:
    """The same in every language."""

    en: str
    it: str

    def of(self, language: Language) -> str:
        """In one of them."""
        return self.en if language == "en" else self.it


@dataclass(frozen=True)
class Day:
    """A day in the source's time zone, and how many days before the scoring cutoff it lies."""

    date: date
    ago: int

    @property
    def with_year(self) -> bool:
        """Whether it needs its year to be understood."""
        return self.ago > _YEAR_SHOWN_DAYS


@dataclass(frozen=True)
class Usual:
    """The median of the peers (`models.peers`); `similar` where they are customers who bought about as often."""

    value: float | None  # None where most of them have no value
    similar: bool = True


@dataclass(frozen=True)
class Wording:
    """What is called how in a source.

    Attributes
    ----------
    time_zone : str
        In which an instant's day is shown.
    currency : str
        Of amounts; empty where unknown.
    activity : tuple of str
        The kinds that `churn.activity` declares.
    event : bool
        Whether churn is a cancellation.
    rules : mapping of rule to Words
        Of the rules of bad experiences that have words; the others go by their names.
    attributes : mapping of column to str
        What attributes are, in the source's own language.
    fixed : frozenset of str
        Columns of attributes that nobody can act on: never the first reason.
    """

    time_zone: str = "UTC"
    currency: str = ""
    activity: tuple[str, ...] = PURCHASES
    event: bool = False
    rules: Mapping[str, Words] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    @classmethod
    def of_rules(cls, rules: Mapping[str, Rule]) -> Mapping[str, Words]:
        """The words of rules: what they say, in each language, or their names."""
        return {
            name: Words(*(rule.says.get(language, spaced(name)) for language in LANGUAGES))
            for name, rule in rules.items()
        }

    def rule(self, name: str) -> Words:
        """The words of a rule of bad experiences."""
        spaced = name.replace("_", " ")
        return self.rules.get(name, Words(spaced, spaced))


def in_language(reason: Mapping[str, Any], language: Language) -> str:
    """The sentence of a reason (`features.contract.REASON`)."""
    return str(reason["text" if language == "en" else f"text_{language}"])


def leading(reasons: Sequence[Mapping[str, Any]] | None, most: int) -> list[Mapping[str, Any]]:
    """What a list shows of a customer's reasons: the first, and others that raise the risk."""
    named = [one for one in reasons or () if one["code"] != REST]
    return [*named[:1], *(one for one in named[1:] if one["direction"] == "raises")][:most]


def by_words(latest: Sequence[tuple[Words, Day]], language: Language) -> dict[str, list[Day]]:
    """The days of the same bad experience together, in the order of their first."""
    found: dict[str, list[Day]] = {}
    for words, day in latest:
        days = found.setdefault(words.of(language), [])
        if day not in days:
            days.append(day)
    return found


def spaced(name: str) -> str:
    """A name of a column, a kind or a rule as words."""
    return name.replace("_", " ")


def capital(words: str) -> str:
    """Words as they begin a sentence."""
    return words[:1].upper() + words[1:]


def rounded(value: float) -> int:
    """A count to show; halves go up."""
    return int(value + 0.5)
