"""Reasons in Italian: a method per sentence, named by its code; the same facts as in `models.reasons.english`."""

from collections.abc import Mapping, Sequence

from fedelta.models.reasons.wording import Day, Usual, Words, by_words, capital, rounded, spaced

_MONTHS = ("gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic")
# What is done: none of it, one, several, the last one, and what customers used to do and usually do.
_DONE: Mapping[str, tuple[str, str, str, str, str, str]] = {
    "purchase": ("nessun ordine", "un solo ordine", "ordini", "l'ultimo", "prima ordinava", "di solito ordina"),
    "contact": (
        "nessun contatto", "un solo contatto", "contatti", "l'ultimo", "prima si faceva sentire",
        "di solito si fa sentire",
    ),
    "visit": ("nessuna visita", "una sola visita", "visite", "l'ultima", "prima visitava", "di solito visita"),
    "activity": (
        "nessuna attività", "una sola attività", "attività", "l'ultima", "prima ne aveva una", "di solito ne ha una",
    ),
}  # fmt: skip
_NOUNS: Mapping[str, tuple[str, str, str]] = {  # none of it, one, several
    "purchase": ("nessun ordine", "ordine", "ordini"),
    "purchase_day": ("nessun giorno con un ordine", "giorno con un ordine", "giorni con un ordine"),
    "activity": ("nessuna attività", "attività", "attività"),
    "activity_day": ("nessun giorno con attività", "giorno con attività", "giorni con attività"),
    "interaction": ("nessuna interazione registrata", "interazione registrata", "interazioni registrate"),
    "visit": ("nessuna visita", "visita", "visite"),
    "contact": ("nessun contatto con l'assistenza", "contatto con l'assistenza", "contatti con l'assistenza"),
    "complaint": ("nessun reclamo", "reclamo", "reclami"),
    "delivery": ("nessuna consegna", "consegna", "consegne"),
    "message": ("nessun nostro messaggio", "nostro messaggio", "nostri messaggi"),
    "response": ("nessun messaggio aperto", "messaggio aperto", "messaggi aperti"),
    "referral": ("nessun amico presentato", "amico presentato", "amici presentati"),
    "review": ("nessuna recensione scritta", "recensione scritta", "recensioni scritte"),
    "renewal": ("nessun rinnovo", "rinnovo", "rinnovi"),
    "downgrade": ("nessun passaggio a un piano inferiore", "passaggio a un piano inferiore",
                  "passaggi a un piano inferiore"),
    "return": ("nessun reso", "reso", "resi"),
    "rated": ("nessuna valutazione data", "valutazione data", "valutazioni date"),
    "survey": ("nessuna risposta ai sondaggi", "risposta ai sondaggi", "risposte ai sondaggi"),
    "unresolved_contact": ("nessun contatto irrisolto", "contatto irrisolto", "contatti irrisolti"),
    "channel": ("nessun canale usato", "canale usato", "canali usati"),
}  # fmt: skip
_CHANNELS: Mapping[str, str] = {
    "digital": "i canali digitali", "direct": "l'accesso diretto", "referral": "il passaparola",
    "organic_search": "la ricerca organica", "paid_search": "la ricerca a pagamento", "social": "i social",
    "email": "l'e-mail", "display": "i banner", "app": "l'app", "web": "il sito", "store": "il negozio",
    "phone": "il telefono", "chat": "la chat", "partner": "i partner",
}  # fmt: skip


class Italian:
    """Sentences without a full stop. Every method takes the facts that `models.reasons.subjects` found."""

    def silence(self, what: str, last: Day, gap: float | None, pair: bool) -> str:
        """Nothing for longer than usual."""
        none, _, many, latest, used, _ = self._done(what)
        text = f"{capital(none)} da {self._days(last.ago)} ({latest} {self._on(last)})"
        if gap is None:
            return text
        if pair:
            return f"{text}; tra i suoi due {many} erano passati {self._days(rounded(gap))}"
        return f"{text}; {used} {self._every(gap)}"

    def only_once(self, what: str, last: Day, usual: Usual | None) -> str:
        """One, and nothing since."""
        text = f"{capital(self._done(what)[1])} finora, {self._days(last.ago)} fa ({self._on(last)})"
        if usual is None or usual.value is None:
            return text
        who = "clienti simili non ordinano da" if what == "purchase" else "di solito il silenzio dura"
        return f"{text}; {who} {self._days(rounded(usual.value))}"

    def recent(self, what: str, last: Day, gap: float | None) -> str:
        """Something not long ago."""
        _, _, many, latest, _, usually = self._done(what)
        text = f"{capital(many)}: {latest} {self._on(last)}, {self._ago(last)}"
        return text if gap is None else f"{text}; {usually} {self._every(gap)}"

    def far_apart(self, what: str, last: Day, gap: float) -> str:
        """A slow rhythm."""
        _, _, many, latest, _, _ = self._done(what)
        return f"{capital(many)} rari: in media {self._every(gap)}, {latest} {self._on(last)}"

    def never(self, what: str) -> str:
        """Never done."""
        return f"{capital(self._done(what)[0])} finora"

    def fewer_lately(self, what: str, lately: int, year: int) -> str:
        """Slowing down."""
        return f"{capital(self._done(what)[2])} in calo: {lately} negli ultimi 90 giorni, {year} nell'ultimo anno"

    def more_lately(self, what: str, lately: int, year: int) -> str:
        """Picking up."""
        return f"{capital(self._done(what)[2])} in aumento: {lately} negli ultimi 90 giorni, {year} nell'ultimo anno"

    def nothing_recorded(self, last: Day) -> str:
        """No interaction of any kind for long."""
        return f"Nulla di registrato da {self._days(last.ago)} (l'ultima volta {self._on(last)})"

    def last_recorded(self, last: Day) -> str:
        """An interaction of some kind not long ago."""
        return f"Ultima interazione {self._on(last)}, {self._ago(last)}"

    def past_periods(self, what: str, share: float, days: int, event: bool) -> str:
        """How often they were silent, or cancelled, before."""
        did = "Una disdetta" if event else capital(self._done(what)[0])
        if share == 0:
            did = "Nessuna disdetta" if event else f"{capital(self._done(what)[2])} sempre presenti"
            return f"{did} nei periodi precedenti di {days} giorni"
        return f"{did} nel {share * 100:.0f}% dei periodi precedenti di {days} giorni"

    def count(self, what: str, value: int, days: int | None, usual: Usual | None) -> str:
        """How many of something."""
        return f"{capital(self._count(what, value))} {self._window(days)}{self._have(usual)}"

    def rate(self, of: str, value: float, days: int | None, usual: Usual | None) -> str:
        """A share of something."""
        share = f"{value * 100:.0f}%"
        words = {
            "response_rate": f"Aperto il {share} dei nostri messaggi", "return_rate": f"Reso il {share} degli ordini",
            "low_rating": f"Valutazioni basse: {share}",
        }[of]  # fmt: skip
        return f"{words} {self._window(days)}{self._is_share(usual)}"

    def spent(self, value: float, currency: str, days: int | None, usual: Usual | None) -> str:
        """Money spent."""
        what = f"Spesa di {self._money(value, currency)}" if value else "Nessuna spesa"
        return f"{what} {self._window(days)}{self._money_of(usual, currency)}"

    def order_value(self, which: str, value: float, currency: str, usual: Usual | None) -> str:
        """What an order comes to."""
        name = {"mean": "Un ordine medio", "max": "L'ordine più grande", "last": "L'ultimo ordine"}[which]
        return f"{name} è di {self._money(value, currency)}{self._money_of(usual, currency)}"

    def last_order_against_mean(self, value: float, mean: float, currency: str) -> str:
        """The last order beside what is usual for the customer."""
        size = "più piccolo" if value < mean else "più grande"
        against = f"{self._money(value, currency)} contro {self._money(mean, currency)} in media"
        return f"L'ultimo ordine è stato {size} del solito: {against}"

    def spending_trend(self, lately: float, year: float, currency: str) -> str:
        """Spending falls or rises."""
        way = "in calo" if lately * (365 / 90) < year else "in aumento"
        amounts = (
            f"{self._money(lately, currency)} negli ultimi 90 giorni, {self._money(year, currency)} nell'ultimo anno"
        )
        return f"Spesa {way}: {amounts}"

    def returned(self, value: float, currency: str, days: int | None, usual: Usual | None) -> str:
        """Money given back."""
        return f"Resi per {self._money(value, currency)} {self._window(days)}{self._money_of(usual, currency)}"

    def bad_experiences(
        self,
        n: int,
        since: int | None,
        latest: Sequence[tuple[Words, Day]],
        usual: Usual | None,
        open_since: Day | None,
    ) -> str:
        """Bad experiences since the last order (`since` 0), in the last days, or so far (None)."""
        when = "dall'ultimo ordine" if since == 0 else self._window(since)
        items = [f"{words} {' e '.join(map(self._on, days))}" for words, days in by_words(latest, "it").items()]
        named = f"{', le ultime' if n > len(latest) else ''}: {', '.join(items)}" if items else ""
        text = f"{n} {'esperienza negativa' if n == 1 else 'esperienze negative'} {when}{named}{self._have(usual)}"
        return f"{text}; il problema {self._on(open_since, 'del')} è ancora aperto" if open_since else text

    def no_bad_experience(self, days: int | None, usual: Usual | None) -> str:
        """Nothing went wrong."""
        return f"Nessuna esperienza negativa {self._window(days)}{self._have(usual)}"

    def open_issue(self, n: int, last: Day, topic: str) -> str:
        """A contact or complaint that nobody settled."""
        about = f" su «{topic}»" if topic else ""
        if n == 1:
            return f"Un problema è ancora aperto: contatto irrisolto{about} {self._on(last, 'del')}"
        return f"{n} problemi sono ancora aperti, l'ultimo un contatto irrisolto{about} {self._on(last, 'del')}"

    def waited(self, hours: float, usual: Usual | None) -> str:
        """How long the customer waited for answers."""
        return f"Attesa media di {self._hours(hours)} per una risposta {self._window(365)}{self._hours_of(usual)}"

    def delayed(self, hours: float, usual: Usual | None) -> str:
        """How late deliveries came."""
        when = "in ritardo" if hours > 0 else "in anticipo"
        return f"Consegne in media {when} di {self._hours(abs(hours))} {self._window(365)}"

    def effort(self, value: float, usual: Usual | None) -> str:
        """How hard contacts were."""
        text = f"Fatica dei contatti di {value * 100:.0f} su 100 {self._window(365)}"
        return f"{text}{self._is_points(usual)}"

    def last_contact(self, last: Day) -> str:
        """The last contact with support."""
        return f"Ultimo contatto con l'assistenza {self._on(last)}, {self._ago(last)}"

    def rating(self, which: str, value: float, day: Day | None, usual: Usual | None) -> str:
        """What the customer thinks of us."""
        name = {"last": "Ultima valutazione", "mean": "Valutazione media"}[which]
        on = f" ({self._on(day)})" if day else ""
        return f"{name} {value * 100:.0f} su 100{on}{self._is_points(usual)}"

    def through(self, channel: str, share: float, usual: Usual | None) -> str:
        """How much goes through a channel."""
        name = _CHANNELS.get(channel, spaced(channel))
        return f"{share * 100:.0f}% delle interazioni dell'ultimo anno attraverso {name}{self._is_share(usual)}"

    def customer_since(self, first: Day) -> str:
        """How long they have been with us."""
        return f"Cliente {self._on(first, 'dal')} ({self._days(first.ago)})"

    def enrolled(self, last: Day | None) -> str:
        """When they enrolled."""
        return f"Iscrizione {self._on(last)}, {self._ago(last)}" if last else "Mai iscritto a un programma"

    def pace(self, of: str, value: float, currency: str, usual: Usual | None) -> str:
        """How much in a year, on average."""
        if of == "spend":
            return f"Spesa di {self._money(value, currency)} all'anno in media{self._money_of(usual, currency)}"
        return f"{self._number(value)} ordini all'anno in media{self._have(usual)}"

    def attribute(self, says: str, value: str | float | None, usual: Usual | None) -> str:
        """What is known of the customer."""
        shown = "non noto" if value is None else value if isinstance(value, str) else self._number(value)
        return f"{capital(says)}: {shown}{self._is_number(usual)}"

    def rest(self) -> str:
        """Everything that no other reason names."""
        return "Tutto il resto insieme, e il livello abituale di rischio"

    def _done(self, what: str) -> tuple[str, str, str, str, str, str]:
        own = f"«{spaced(what)}»"
        return _DONE.get(
            what,
            (f"nessun evento {own}", f"un solo evento {own}", f"eventi {own}", "l'ultimo", "prima ce n'era uno",
             "di solito ce n'è uno"),
        )  # fmt: skip

    def _count(self, what: str, value: int) -> str:
        own = f"«{spaced(what)}»"
        none, one, many = _NOUNS.get(what, (f"nessun evento {own}", f"evento {own}", f"eventi {own}"))
        return none if value == 0 else f"1 {one}" if value == 1 else f"{self._whole(value)} {many}"

    def _day(self, day: Day) -> str:
        number = "1°" if day.date.day == 1 else str(day.date.day)
        text = f"{number} {_MONTHS[day.date.month - 1]}"
        return f"{text} {day.date.year}" if day.with_year else text

    def _on(self, day: Day, word: str = "il") -> str:
        elided = {"il": "l'", "dal": "dall'", "del": "dell'"}[word]
        return f"{elided if day.date.day in (8, 11) else f'{word} '}{self._day(day)}"

    def _days(self, days: int) -> str:
        return "1 giorno" if days == 1 else f"{self._whole(days)} giorni"

    def _ago(self, day: Day) -> str:
        return "lo stesso giorno" if day.ago == 0 else f"{self._days(day.ago)} fa"

    def _every(self, gap: float) -> str:
        return "ogni giorno" if gap < 1.5 else f"ogni {self._days(rounded(gap))}"

    def _window(self, days: int | None) -> str:
        return "finora" if days is None else "nell'ultimo anno" if days == 365 else f"negli ultimi {self._days(days)}"

    def _money(self, value: float, currency: str) -> str:
        if value >= 10 or float(value).is_integer():
            return f"{self._whole(value)} {currency}".rstrip()
        return f"{value:.2f} {currency}".rstrip().replace(".", ",", 1)

    def _hours(self, hours: float) -> str:
        whole = rounded(hours)
        return "meno di un'ora" if whole < 1 else "1 ora" if whole == 1 else f"{self._whole(whole)} ore"

    def _whole(self, value: float) -> str:
        return f"{value:,.0f}".replace(",", ".")

    def _number(self, value: float) -> str:
        whole = float(value).is_integer() or abs(value) >= 100
        return self._whole(value) if whole else f"{value:.2g}".replace(".", ",")

    def _beside(self, usual: Usual | None, shown: str | None) -> str:
        if usual is None or shown is None:
            return ""
        return f"; clienti simili: {shown}" if usual.similar else f"; di solito {shown}"

    def _have(self, usual: Usual | None) -> str:
        return self._beside(usual, None if usual is None or usual.value is None else self._whole(rounded(usual.value)))

    def _is_share(self, usual: Usual | None) -> str:
        return self._beside(usual, None if usual is None or usual.value is None else f"{usual.value * 100:.0f}%")

    def _is_points(self, usual: Usual | None) -> str:
        return self._beside(usual, None if usual is None or usual.value is None else f"{usual.value * 100:.0f}")

    def _is_number(self, usual: Usual | None) -> str:
        return self._beside(usual, None if usual is None or usual.value is None else self._number(usual.value))

    def _hours_of(self, usual: Usual | None) -> str:
        return self._beside(usual, None if usual is None or usual.value is None else self._hours(usual.value))

    def _money_of(self, usual: Usual | None, currency: str) -> str:
        return self._beside(usual, None if usual is None or usual.value is None else self._money(usual.value, currency))
