"""What the desk says, in the reader's language: catalogues of gettext, and figures as a locale writes them.

Messages in the code are English and stand in ``locale/LANGUAGE/LC_MESSAGES/desk.po`` beside their translation. A
catalogue is compiled when it is first asked for. A word that is a value of the data (``high``, ``renewal``) has a
message of its own in ``VALUES``.
"""

import datetime as dt
import gettext
import io
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from babel import Locale, dates, lists, numbers, units
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "it": "Italiano"}
CATALOGUES = Path(__file__).parent / "locale"
_DASH = "–"


def N_(message: str) -> str:  # noqa: N802 (the name that extractors of messages know)
    """The message itself, marked for catalogues: it is translated where it is shown."""
    return message


# What the values of the data are called.
VALUES: Mapping[str, str] = {
    "low": N_("low"), "medium": N_("medium"), "high": N_("high"), "critical": N_("critical"),
    "keep": N_("keep"), "win back": N_("win back"),
    "loyal": N_("loyal"), "latent": N_("latent"), "spurious": N_("spurious"), "none": N_("none"),
    "onboarding": N_("onboarding"), "use": N_("use"), "maintenance": N_("maintenance"), "renewal": N_("renewal"),
    "awareness": N_("awareness"), "familiarity": N_("familiarity"), "consideration": N_("consideration"),
    "purchase": N_("purchase"), "loyalty": N_("loyalty"),
    "integrity": N_("integrity"), "resolution": N_("resolution"), "expectations": N_("expectations"),
    "empathy": N_("empathy"), "personalisation": N_("personalisation"), "time_and_effort": N_("time and effort"),
    "opted out": N_("opted out"), "contacted lately": N_("contacted lately"),
    # How interactions touch customers, and channels.
    "digital": N_("digital"), "physical": N_("physical"), "human": N_("human"), "all": N_("all"),
    "email": N_("e-mail"), "app": N_("app"), "web": N_("web"), "store": N_("store"),
    "organic_search": N_("organic search"), "direct": N_("direct"), "social": N_("social media"),
    "paid_search": N_("paid search"), "display": N_("display"), "partner": N_("partner"), "chat": N_("chat"),
    # Rules of bad experiences, and their levels.
    "late_delivery": N_("late delivery"), "failed_expectation": N_("failed expectation"),
    "unresolved_contact": N_("unresolved contact"), "repeated_contact": N_("repeated contact"),
    "slow_answer": N_("slow answer"), "high_effort": N_("high effort"), "low_rating": N_("low rating"),
    "bad_review": N_("bad review"), "faulty_return": N_("faulty return"), "cancelled_order": N_("cancelled order"),
    "poor_fit": N_("poor fit"), "returned_goods": N_("returned goods"),
    "promoted": N_("promoted"), "not promoted": N_("not promoted"), "rolled back": N_("rolled back"),
    "needs": N_("needs"), "ease": N_("ease"), "enjoyable": N_("enjoyable"), "silent": N_("silent"),
    "viewer": N_("viewer"), "agent": N_("agent"), "manager": N_("manager"), "admin": N_("admin"),
    "open": N_("open"), "snoozed": N_("snoozed"), "done": N_("done"),
    "reached": N_("reached"), "no_answer": N_("no answer"), "offered": N_("offered"), "accepted": N_("accepted"),
    "saved": N_("saved"), "lost": N_("lost"), "lapsed": N_("lapsed"), "withdrawn": N_("withdrawn"),
    "bad_experience": N_("a bad experience"), "tier_up": N_("a higher risk tier"),
    "treated": N_("contacted"), "other": N_("other"),
    "owner": N_("owner"), "due_on": N_("due"), "next_action": N_("next action"), "status": N_("status"),
    "snoozed_until": N_("snoozed until"), "snoozed_until_event": N_("snoozed until there is"), "step": N_("step"),
    "snooze_days": N_("snoozed for days"), "outcome": N_("outcome"), "channel": N_("by"),
    "outcome_reason": N_("reason"), "playbook": N_("playbook"), "nobody": N_("nobody"),
    "phone": N_("phone"), "e-mail": N_("e-mail"), "in person": N_("in person"),
    # Codes of reasons, which cases are about.
    "silence": N_("silence"), "only_once": N_("one purchase only"), "recent": N_("recent activity"),
    "far_apart": N_("purchases far apart"), "never": N_("nothing so far"), "fewer_lately": N_("less activity lately"),
    "more_lately": N_("more activity lately"), "nothing_recorded": N_("nothing recorded"),
    "last_recorded": N_("last recorded"), "past_periods": N_("past periods"), "count": N_("activity"),
    "rate": N_("behaviour"), "spent": N_("spend"), "order_value": N_("value of orders"),
    "last_order_against_mean": N_("last order"), "spending_trend": N_("trend of spend"), "returned": N_("returns"),
    "bad_experiences": N_("bad experiences"), "no_bad_experience": N_("no bad experience"),
    "open_issue": N_("open issue"), "waited": N_("waiting"), "delayed": N_("delays"), "effort": N_("effort"),
    "last_contact": N_("last contact"), "rating": N_("ratings"), "through": N_("channel"),
    "customer_since": N_("tenure"), "enrolled": N_("enrolment"), "pace": N_("pace"), "attribute": N_("an attribute"),
    # Themes of reasons.
    "activity": N_("activity"), "channels": N_("channels"), "experience": N_("experience"),
    "purchases": N_("purchases"), "ratings": N_("ratings"), "rhythm": N_("rhythm"), "tenure": N_("tenure"),
    # Kinds of interactions.
    "return": N_("return"), "visit": N_("visit"), "contact": N_("contact"), "complaint": N_("complaint"),
    "delivery": N_("delivery"), "survey": N_("survey"), "message": N_("message"), "response": N_("response"),
    "referral": N_("referral"), "review": N_("review"), "error": N_("error"), "outage": N_("outage"),
    "enrolment": N_("enrolment"), "downgrade": N_("downgrade"), "cancellation": N_("cancellation"),
    "too_new": N_("too new to be scored"), "no_history": N_("without a history"),
    "already_churned": N_("has already left"), "ended": N_("the relationship has ended"), "erased": N_("erased"),
}  # fmt: skip

# What the parts of a persona's name are called, of customers: `frequent big-basket customers`.
KINDS: Mapping[str, str] = {
    "typical": N_("typical"), "frequent": N_("frequent"), "infrequent": N_("infrequent"), "dormant": N_("dormant"),
    "active": N_("active"), "browsing": N_("browsing"), "seldom browsing": N_("seldom browsing"),
    "help-seeking": N_("help-seeking"), "reviewing": N_("reviewing"), "recommending": N_("recommending"),
    "subscribed": N_("subscribed"), "irregular": N_("irregular"), "regular": N_("regular"),
    "often returning": N_("often returning"), "responsive": N_("responsive"), "many-channel": N_("many-channel"),
    "single-channel": N_("single-channel"), "let-down": N_("let-down"), "well-served": N_("well-served"),
    "kept-waiting": N_("kept-waiting"), "unheard": N_("unheard"), "pleased": N_("pleased"),
    "critical": N_("hard to please"), "high-spending": N_("high-spending"), "low-spending": N_("low-spending"),
    "big-basket": N_("big-basket"), "small-basket": N_("small-basket"),
}  # fmt: skip
_PERSONA = re.compile(r"(.+) customers( \d+)?")


class Words:
    """One language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = Locale.parse(language)
        catalogue = _catalogue(language)
        self.gettext, self.ngettext = catalogue.gettext, catalogue.ngettext
        self._values = {name: self.gettext(message) for name, message in VALUES.items()}
        signs = ",", ".", "-"
        local = numbers.get_group_symbol(self.locale), numbers.get_decimal_symbol(self.locale), "−"
        self._signs = str.maketrans(dict(zip(signs, local, strict=True)))

    def value(self, name: str | None) -> str:
        """What a value of the data is called; one that we have no word for is shown as it is."""
        if name is None:
            return _DASH
        return self._values.get(name) or self._persona(name) or name.replace("_", " ")

    def figure(self, text: str) -> str:
        """A number as the code writes it (1,234.5) as the locale does."""
        return text.translate(self._signs)

    def _persona(self, name: str) -> str | None:
        """What a persona is called; None where a name is none that we make, or is English and stays."""
        if self.language == "en" or (match := _PERSONA.fullmatch(name)) is None:
            return None
        rest, number = match.groups()
        found = []
        while rest:
            known = [kind for kind in (*KINDS, *VALUES) if f"{rest} ".startswith(f"{kind.replace('_', ' ')} ")]
            if not known:
                return None
            kind = max(known, key=len)
            through = self.gettext("through %(each_channel)s") % {"each_channel": self.value(kind)}
            found.append(self.gettext(KINDS[kind]) if kind in KINDS else through)
            rest = rest[len(kind) + 1 :]
        return self.gettext("%(kinds)s customers") % {"kinds": ", ".join(found)} + (number or "")

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number to some decimals."""
        return _DASH if value is None else self._written(value, f",.{digits}f")

    def share(self, value: float | None, digits: int = 0) -> str:
        """A share in per cent."""
        return _DASH if value is None else self._written(value, f",.{digits}%")

    def points(self, value: float | None) -> str:
        """A difference of shares in percentage points, with its sign."""
        return _DASH if value is None else self._written(100 * value, "+,.1f")

    def money(self, value: float | None, currency: str | None) -> str:
        """An amount without decimals."""
        if value is None or not currency:
            return self.number(value)
        symbol, amount = _symbol(currency, self.language), self._written(abs(value), ",.0f")
        sign = "−" if value < 0 else ""
        return f"{sign}{symbol}{amount}" if self.language == "en" else f"{sign}{amount}\xa0{symbol}"

    def _written(self, value: float, form: str) -> str:
        """A number as Python formats it, rounded half to even as it is written, with the signs of the locale."""
        return self.figure(format(Decimal(str(value)), form))

    def day(self, value: dt.date | str | None) -> str:
        """A day, such as 3 Aug 2023."""
        if value is None:
            return _DASH
        at = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return _day(at.year, at.month, at.day, self.locale)

    def moment(self, value: dt.datetime | str | None) -> str:
        """A day and its time, in UTC."""
        if value is None:
            return _DASH
        at = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return dates.format_datetime(at, "d MMM y, HH:mm 'UTC'", locale=self.locale)

    def touchpoint(self, name: str) -> str:
        """What a touchpoint of the journey map is called: visit (digital)."""
        kind, _, touch = name.partition(" (")
        text = self.value(kind)
        return f"{text[:1].upper()}{text[1:]}{f' ({self.value(touch[:-1])})' if touch else ''}"

    def lasting(self, days: float | None) -> str:
        """A time between two moments, in the unit that people take for it."""
        if days is None:
            return _DASH
        hours = 24 * days
        amount, unit = (days, "day") if hours >= 48 else (hours, "hour") if hours >= 1.5 else (60 * hours, "minute")
        return units.format_unit(round(amount), f"duration-{unit}", "short", locale=self.locale)

    def listed(self, texts: Sequence[str]) -> str:
        """Several things in one sentence: a, b and c."""
        return lists.format_list(list(texts), locale=self.locale) if texts else ""


@lru_cache
def words(language: str) -> Words:
    """The words of a language of ``LANGUAGES``."""
    return Words(language)


def preferred(accept_language: str) -> str:
    """The first of our languages that a browser asks for, else English."""
    wanted = []
    for place, part in enumerate(accept_language.split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), place, tag.split("-")[0].lower()))
        except ValueError:
            continue
    return next((tag for weight, _, tag in sorted(wanted) if weight and tag in LANGUAGES), "en")


@lru_cache
def _symbol(currency: str, language: str) -> str:
    return numbers.get_currency_symbol(currency, language)


@lru_cache(4_096)
def _day(year: int, month: int, day: int, locale: Locale) -> str:
    return dates.format_date(dt.date(year, month, day), "d MMM y", locale)


def _catalogue(language: str) -> gettext.NullTranslations:
    path = CATALOGUES / language / "LC_MESSAGES/desk.po"
    if language == "en":
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
