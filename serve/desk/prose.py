"""Sentences that stages wrote into their reports, in English, in the reader's language.

A message is a sentence as a stage writes it, with places for what differs: figures, words of the data, ``PARTS``, and
several of them where its name begins with ``each_``. What no message fits is shown in English, and marked so.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from fedelta.serve.desk.words import N_, VALUES, Words

SENTENCES: Sequence[str] = (
    # Cards of personas: what sets them apart, what they do, praise and complain about.
    N_("nothing: like everybody"),
    N_("%(trait)s %(own)s, of all %(base)s (%(effect)s standard deviations)"),
    N_("in a year: %(each_done)s"),
    N_("buys every %(days)s days (median of who came back)"),
    N_("through %(each_channel)s"),
    N_("%(what)s: %(own)s per 100 customers, of all %(base)s"),
    # What the monitor says of the newest month.
    N_("The features have moved by %(value)s since %(day)s (PSI, weighed by importance; most: %(most)s)%(verdict)s"),
    N_("The scores have moved by %(value)s since %(day)s (PSI)%(verdict)s"),
    N_("%(name)s has moved since last month %(value)s times as far as in any month before%(verdict)s"),
    N_("Of the data, %(name)s went from %(before)s to %(now)s against %(when)s, %(value)s standard errors from its "
       "usual change%(verdict)s"),
    N_("No kind or channel is new."),
    N_("Never met before this month: %(names)s."),
    N_("No kind or channel stopped coming in, and each customer is written in one way."),
    N_("What happened is what the probabilities implied, within chance."),
    N_("What happened is not what the probabilities implied: %(each_figure)s."),
    N_("What happened is close to what the probabilities implied, or better: %(each_figure)s."),
    # Fairness.
    N_("%(who)s: more churn was predicted than came (%(predicted)s against %(observed)s, difference %(gap)s)."),
    N_("%(who)s: less churn was predicted than came (%(predicted)s against %(observed)s, difference %(gap)s)."),
    N_("%(who)s: contacted less than others of equal risk (%(share)s of them, %(ratio)s of the others' share, "
       "difference %(gap)s)."),
)  # fmt: skip
PARTS: Sequence[str] = (
    N_("purchases in a year"), N_("days since the last purchase"), N_("activity in a year"),
    N_("days since the last activity"), N_("visits in a year"), N_("contacts in a year"), N_("reviews in a year"),
    N_("referrals in a year"), N_("renewals in a year"), N_("irregularity of purchases"), N_("returns per purchase"),
    N_("messages answered per message"), N_("share of interactions through %(name)s"),
    N_("variety of channels, in bits"), N_("share of interactions that went badly"),
    N_("share of deliveries that were late"), N_("share of contacts left unresolved"), N_("mean rating"),
    N_("money spent in a year"), N_("money per day with a purchase"),
    N_("%(number)s purchases"), N_("%(number)s visits"), N_("%(number)s deliveries"), N_("%(number)s contacts"),
    N_("%(number)s returns"), N_("%(number)s reviews"), N_("%(number)s referrals"),
    N_("%(kind)s on %(topic)s"),
    N_("kind %(name)s"), N_("channel %(name)s"), N_("%(number)s a week"), N_("a year before"), N_("the month before"),
    N_(", beyond the limit of %(limit)s that %(past)s earlier such changes set."),
    N_(", within the limit of %(limit)s that %(past)s earlier such changes set."),
    N_("; %(past)s earlier such changes are too few to tell whether that is usual."),
    N_("churn rate %(value)s is not the %(usual)s expected"),
    N_("AUC %(value)s is better than the %(usual)s expected"),
    N_("AUC %(value)s is worse than the %(usual)s expected"),
    N_("log loss %(value)s is better than the %(usual)s expected"),
    N_("log loss %(value)s is worse than the %(usual)s expected"),
    N_("%(value)s points [%(low)s, %(high)s]"),
)  # fmt: skip
_LONG = ("trait", "what", "kind", "topic", "name", "names", "most", "verdict", "when", "who", "before", "now", "gap")
_PLACE = re.compile(r"%\\\((\w+)\\\)s")
_FIGURE = re.compile(r"[-+]?\d[\d,.]*%?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LABEL = re.compile(r"(.+) \((.+)\)|(.+) ([\d.]+%)")  # late delivery (expectations), email 29%


def translated(words: Words, text: str) -> Markup:
    """A sentence of a report, for pages."""
    if words.language == "en":
        return escape(text)
    found = _again(words, text, SENTENCES)
    return Markup('<span lang="en">{}</span>').format(text) if found is None else escape(found)


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


@lru_cache
def _pattern(message: str) -> re.Pattern[str]:
    def place(found: re.Match[str]) -> str:
        name = found[1]
        return f"(?P<{name}>{'.+?' if name in _LONG or name.startswith('each_') else r'[^ ]+'})"

    return re.compile(_PLACE.sub(place, re.escape(message)))
