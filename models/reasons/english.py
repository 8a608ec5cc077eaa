"""Reasons in English: a method per sentence, named by its code."""

from collections.abc import Mapping, Sequence

from fedelta.models.reasons.wording import Day, Usual, Words, by_words, capital, rounded, spaced

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What is done: one, several, and what customers used to do and usually do (every so many days).
_DONE: Mapping[str, tuple[str, str, str, str]] = {
    "purchase": ("order", "orders", "they used to order", "they usually order"),
    "contact": ("contact", "contacts", "they used to get in touch", "they usually get in touch"),
    "visit": ("visit", "visits", "they used to visit", "they usually visit"),
    "activity": ("activity", "activities", "they used to be active", "they are usually active"),
}
_NOUNS: Mapping[str, tuple[str, str]] = {
    "purchase": ("order", "orders"),
    "purchase_day": ("day with an order", "days with an order"),
    "activity": ("activity", "activities"),
    "activity_day": ("day with activity", "days with activity"),
    "interaction": ("interaction recorded", "interactions recorded"),
    "visit": ("visit", "visits"),
    "contact": ("contact with support", "contacts with support"),
    "complaint": ("complaint", "complaints"),
    "delivery": ("delivery", "deliveries"),
    "message": ("message from us", "messages from us"),
    "response": ("message opened", "messages opened"),
    "referral": ("friend referred", "friends referred"),
    "review": ("review written", "reviews written"),
    "renewal": ("renewal", "renewals"),
    "downgrade": ("step down to a lower plan", "steps down to a lower plan"),
    "return": ("return", "returns"),
    "rated": ("rating given", "ratings given"),
    "survey": ("survey answered", "surveys answered"),
    "unresolved_contact": ("unresolved contact", "unresolved contacts"),
    "channel": ("channel used", "channels used"),
}
_CHANNELS: Mapping[str, str] = {
    "digital": "digital channels", "direct": "direct visits", "referral": "links on other sites",
    "organic_search": "organic search", "paid_search": "paid search", "social": "social media", "email": "e-mail",
    "display": "banners", "app": "the app", "web": "the website", "store": "shops", "phone": "the phone",
    "partner": "partners",
}  # fmt: skip


class English:
    """Sentences without a full stop. Every method takes the facts that `models.reasons.subjects` found."""

    def silence(self, what: str, last: Day, gap: float | None, pair: bool) -> str:
        """Nothing for longer than usual."""
        one, many, used, _ = self._done(what)
        text = f"No {one} for {self._days(last.ago)} (last on {self._on(last)})"
        if gap is None:
            return text
        if pair:
            return f"{text}; their two {many} were {self._days(rounded(gap))} apart"
        return f"{text}; {used} {self._every(gap)}"

    def only_once(self, what: str, last: Day, usual: Usual | None) -> str:
        """One, and nothing since."""
        text = f"Only one {self._done(what)[0]} so far, {self._days(last.ago)} ago ({self._on(last)})"
        if usual is None or usual.value is None:
            return text
        who = "similar customers have not ordered for" if what == "purchase" else "usual is a silence of"
        return f"{text}; {who} {self._days(rounded(usual.value))}"

    def recent(self, what: str, last: Day, gap: float | None) -> str:
        """Something not long ago."""
        one, _, _, usually = self._done(what)
        text = f"Last {one} on {self._on(last)}, {self._ago(last)}"
        return text if gap is None else f"{text}; {usually} {self._every(gap)}"

    def far_apart(self, what: str, last: Day, gap: float) -> str:
        """A slow rhythm."""
        _, many, _, _ = self._done(what)
        return f"{capital(many)} are far apart: one {self._every(gap)} on average, the last on {self._on(last)}"

    def never(self, what: str) -> str:
        """Never done."""
        return f"No {self._done(what)[0]} so far"

    def fewer_lately(self, what: str, lately: int, year: int) -> str:
        """Slowing down."""
        return f"Fewer {self._done(what)[1]} lately: {lately} in the last 90 days, {year} in the last year"

    def more_lately(self, what: str, lately: int, year: int) -> str:
        """Picking up."""
        return f"More {self._done(what)[1]} lately: {lately} in the last 90 days, {year} in the last year"

    def nothing_recorded(self, last: Day) -> str:
        """No interaction of any kind for long."""
        return f"Nothing recorded for {self._days(last.ago)} (last on {self._on(last)})"

    def last_recorded(self, last: Day) -> str:
        """An interaction of some kind not long ago."""
        return f"Last entry in their history on {self._on(last)}, {self._ago(last)}"

    def past_periods(self, what: str, share: float, days: int, event: bool) -> str:
        """How often they were silent, or cancelled, before."""
        did = "A cancellation" if event else f"No {self._done(what)[0]}"
        if share == 0:
            return (
                f"{'No cancellation' if event else f'At least one {self._done(what)[0]}'} in every earlier {days} days"
            )
        return f"{did} in {share:.0%} of the earlier periods of {days} days"

    def count(self, what: str, value: int, days: int | None, usual: Usual | None) -> str:
        """How many of something."""
        return f"{capital(self._count(what, value))} {self._window(days)}{self._have(usual)}"

    def rate(self, of: str, value: float, days: int | None, usual: Usual | None) -> str:
        """A share of something."""
        share = f"{value:.0%}"
        words = {
            "response_rate": f"Opened {share} of our messages", "return_rate": f"Returned {share} of the orders",
            "low_rating": f"{share} of their ratings low",
        }[of]  # fmt: skip
        return f"{words} {self._window(days)}{self._is_share(usual)}"

    def spent(self, value: float, currency: str, days: int | None, usual: Usual | None) -> str:
        """Money spent."""
        what = f"Spent {self._money(value, currency)}" if value else "Spent nothing"
        return f"{what} {self._window(days)}{self._money_of(usual, currency, 'spent')}"

    def order_value(self, which: str, value: float, currency: str, usual: Usual | None) -> str:
        """What an order comes to."""
        name = {"mean": "An average order", "max": "The largest order", "last": "The last order"}[which]
        return f"{name} came to {self._money(value, currency)}{self._money_of(usual, currency, 'reach')}"

    def last_order_against_mean(self, value: float, mean: float, currency: str) -> str:
        """The last order beside what is usual for the customer."""
        size = "smaller" if value < mean else "larger"
        against = f"{self._money(value, currency)} against {self._money(mean, currency)} on average"
        return f"The last order was {size} than usual: {against}"

    def spending_trend(self, lately: float, year: float, currency: str) -> str:
        """Spending falls or rises."""
        way = "is falling" if lately * (365 / 90) < year else "is rising"
        amounts = f"{self._money(lately, currency)} in the last 90 days, {self._money(year, currency)} in the last year"
        return f"Spending {way}: {amounts}"

    def returned(self, value: float, currency: str, days: int | None, usual: Usual | None) -> str:
        """Money given back."""
        what = self._money(value, currency)
        return f"Returned goods worth {what} {self._window(days)}{self._money_of(usual, currency, 'returned')}"

    def bad_experiences(
        self,
        n: int,
        since: int | None,
        latest: Sequence[tuple[Words, Day]],
        usual: Usual | None,
        open_since: Day | None,
    ) -> str:
        """Bad experiences since the last order (`since` 0), in the last days, or so far (None)."""
        when = "since the last order" if since == 0 else self._window(since)
        items = [f"{words} on {' and '.join(map(self._on, days))}" for words, days in by_words(latest, "en").items()]
        named = f"{', the latest' if n > len(latest) else ''}: {', '.join(items)}" if items else ""
        text = f"{n} bad {'experience' if n == 1 else 'experiences'} {when}{named}{self._have(usual)}"
        return f"{text}; the issue of {self._on(open_since)} is still open" if open_since else text

    def no_bad_experience(self, days: int | None, usual: Usual | None) -> str:
        """Nothing went wrong."""
        return f"No bad experience {self._window(days)}{self._have(usual)}"

    def open_issue(self, n: int, last: Day, topic: str) -> str:
        """A contact or complaint that nobody settled."""
        about = f" about “{topic}”" if topic else ""
        if n == 1:
            return f"An issue is still open: unresolved contact{about} of {self._on(last)}"
        return f"{n} issues are still open, the latest an unresolved contact{about} of {self._on(last)}"

    def waited(self, hours: float, usual: Usual | None) -> str:
        """How long the customer waited for answers."""
        return f"Waited {self._hours(hours)} for an answer on average {self._window(365)}{self._hours_of(usual)}"

    def delayed(self, hours: float, usual: Usual | None) -> str:
        """How late deliveries came."""
        when = "late" if hours > 0 else "early"
        return f"Deliveries came {self._hours(abs(hours))} {when} on average {self._window(365)}"

    def effort(self, value: float, usual: Usual | None) -> str:
        """How hard contacts were."""
        text = f"Contacts took an effort of {value * 100:.0f} out of 100 {self._window(365)}"
        return f"{text}{self._is_points(usual)}"

    def last_contact(self, last: Day) -> str:
        """The last contact with support."""
        return f"Last contact with support on {self._on(last)}, {self._ago(last)}"

    def rating(self, which: str, value: float, day: Day | None, usual: Usual | None) -> str:
        """What the customer thinks of us."""
        name = {"last": "Last rating", "mean": "Average rating"}[which]
        on = f" (on {self._on(day)})" if day else ""
        return f"{name} {value * 100:.0f} out of 100{on}{self._is_points(usual)}"

    def through(self, channel: str, share: float, usual: Usual | None) -> str:
        """How much goes through a channel."""
        name = _CHANNELS.get(channel, spaced(channel))
        return f"{share:.0%} of their interactions in the last year through {name}{self._is_share(usual)}"

    def customer_since(self, first: Day) -> str:
        """How long they have been with us."""
        return f"Customer since {self._on(first)} ({self._days(first.ago)})"

    def enrolled(self, last: Day | None) -> str:
        """When they enrolled."""
        return f"Enrolled on {self._on(last)}, {self._ago(last)}" if last else "Never joined a programme"

    def pace(self, of: str, value: float, currency: str, usual: Usual | None) -> str:
        """How much in a year, on average."""
        if of == "spend":
            return f"Spends {self._money(value, currency)} a year on average{self._money_of(usual, currency, 'spend')}"
        return f"{self._number(value)} {self._done('purchase')[1]} a year on average{self._have(usual)}"

    def attribute(self, says: str, value: str | float | None, usual: Usual | None) -> str:
        """What is known of the customer."""
        shown = "unknown" if value is None else value if isinstance(value, str) else self._number(value)
        return f"{capital(says)}: {shown}{self._is_number(usual)}"

    def rest(self) -> str:
        """Everything that no other reason names."""
        return "Everything else together, and the usual level of risk"

    def _done(self, what: str) -> tuple[str, str, str, str]:
        own = spaced(what)
        return _DONE.get(what, (own, f"{own} events", "there used to be one", "there usually is one"))

    def _count(self, what: str, value: int) -> str:
        one, many = _NOUNS.get(what, (spaced(what), f"{spaced(what)} events"))
        return f"{value:,} {one}" if value == 1 else f"{value:,} {many}" if value else f"no {one}"

    def _on(self, day: Day) -> str:
        text = f"{day.date.day} {_MONTHS[day.date.month - 1]}"
        return f"{text} {day.date.year}" if day.with_year else text

    def _days(self, days: int) -> str:
        return "1 day" if days == 1 else f"{days:,} days"

    def _ago(self, day: Day) -> str:
        return "the same day" if day.ago == 0 else f"{self._days(day.ago)} ago"

    def _every(self, gap: float) -> str:
        return "every day" if gap < 1.5 else f"every {self._days(rounded(gap))}"

    def _window(self, days: int | None) -> str:
        return "so far" if days is None else "in the last year" if days == 365 else f"in the last {self._days(days)}"

    def _money(self, value: float, currency: str) -> str:
        shown = f"{value:,.0f}" if value >= 10 or float(value).is_integer() else f"{value:,.2f}"
        return f"{shown} {currency}".rstrip()

    def _hours(self, hours: float) -> str:
        whole = rounded(hours)
        return "less than an hour" if whole < 1 else "1 hour" if whole == 1 else f"{whole:,} hours"

    def _number(self, value: float) -> str:
        return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2g}"

    def _beside(self, usual: Usual | None, have: str, shown: str | None) -> str:
        if usual is None or shown is None:
            return ""
        return f"; similar customers {have} {shown}" if usual.similar else f"; usual is {shown}"

    def _have(self, usual: Usual | None) -> str:
        value = None if usual is None or usual.value is None else rounded(usual.value)
        return self._beside(usual, "have", None if value is None else f"{value:,}" if value else "none")

    def _is_share(self, usual: Usual | None) -> str:
        if usual is None or usual.value is None:
            return ""
        return f"; similar customers: {usual.value:.0%}" if usual.similar else f"; usual is {usual.value:.0%}"

    def _is_points(self, usual: Usual | None) -> str:
        shown = None if usual is None or usual.value is None else f"{usual.value * 100:.0f}"
        return self._beside(usual, "have", shown)

    def _is_number(self, usual: Usual | None) -> str:
        shown = None if usual is None or usual.value is None else self._number(usual.value)
        return self._beside(usual, "have", shown)

    def _hours_of(self, usual: Usual | None) -> str:
        return self._beside(usual, "wait", None if usual is None or usual.value is None else self._hours(usual.value))

    def _money_of(self, usual: Usual | None, currency: str, did: str) -> str:
        if usual is None or usual.value is None:
            return ""
        return self._beside(usual, did, self._money(usual.value, currency) if usual.value else "nothing")
