"""What stages write into their reports is said in Italian: every sentence of the code that writes them."""

import html
import re

import pytest
from report_sentences import sentences

from fedelta.serve.desk.health import CHECKS
from fedelta.serve.desk.prose import translated
from fedelta.serve.desk.words import words

WRITERS = (
    *(f"pipeline/intake/{name}.py" for name in (
        "usability", "plausibility", "customers", "categories", "dates", "holes", "id_forms", "numbers", "repeatable",
        "units",
    )),
    "pipeline/monitor.py", "pipeline/monitoring/drift_report.py", "pipeline/monitoring/table_monitor.py",
    "models/monitoring/cbpe.py", "models/incrementality/comparison.py", "pipeline/measure.py", "pipeline/fairness.py",
    "models/fairness/measures.py", "models/experience/moments.py", "models/experience/tolerance.py",
    "pipeline/experience_report.py", "pipeline/table_experience.py",
    "models/loyalty/model.py", "models/loyalty/persona_search.py",
    "pipeline/train_loyalty.py",
)  # fmt: skip
# Texts of the code that are parts of sentences: the whole ones.
WHOLE = {
    "7 of the rows7 are quarantined (7): see data/quarantine.": [
        "12.5% of the rows are quarantined (unreadable 7): see data/quarantine.",
        "12.5% of the rows of labels.sql are quarantined (unreadable 7, late 2): see data/quarantine.",
    ],
    "7 duplicates7 differ from the row kept with their id: is the id unique?": [
        "1,234 duplicates differ from the row kept with their id: is the id unique?",
        "7 duplicates of customers.sql differ from the row kept with their id: is the id unique?",
    ],
    "7 dated from 7 to 7 (7 days), though many are before and after: about 7 would have come at the usual rate. Is a "
    "file missing, or are dates wrong? Whoever was active then looks silent, in features and in outcomes.": [
        f"No interaction{of} is dated from 2024-01-02 to 2024-02-03 (33 days), though many are before and after: about "
        "1,234 would have come at the usual rate. Is a file missing, or are dates wrong? Whoever was active then looks "
        "silent, in features and in outcomes."
        for of in ("", " of kind purchase", " of channel web")
    ],
    "was 7 in 7 and 7 in 7: has the unit changed (cents, another currency)?": [
        f"The usual purchase{of} was 12.5 in 2024-01 and 1,250 in 2024-02: has the unit changed (cents, another "
        "currency)?"
        for of in ("", " through web")
    ],
    "Nobody held out is recorded here, so there is nothing to compare with. 7, with arm held_out.": [
        f"Nobody held out is recorded here, so there is nothing to compare with. {advice}, with arm held_out."
        for advice in ("Record them with the action that they would have received", "Record them too")
    ],
    "7The share held out (7) changes from month to month more than chance allows (p 7): the arms are not of one draw. "
    "Give each draw a campaign of its own.": [
        f"{of}The share held out (12.5%) changes from month to month more than chance allows (p 0.001): the arms are "
        "not of one draw. Give each draw a campaign of its own."
        for of in ("", "Of the campaign a summer sale: ")
    ],
    "7: 7 churn was predicted than came (7 against 7, difference 7).": [
        f"region north: {more} churn was predicted than came (12.5% against 14.0%, difference -1.5 points "
        "[-2.5, -0.5])."
        for more in ("more", "less")
    ],
    "Every customer 7.": [
        "Every customer has neither bought, enrolled nor renewed, and the first 90 days are over.",
    ],
    **{
        f"{verdict}": [f"The scores have moved by 0.123 since 2024-01-02 (PSI){verdict.replace('7', '12')}"]
        for verdict in (
            "; 7 earlier such changes are too few to tell whether that is usual.",
            ", beyond the limit of 7 that 7 earlier such changes set.",
            ", within the limit of 7 that 7 earlier such changes set.",
        )
    },
}  # fmt: skip
# What is printed, or shown in other words.
NOT_SHOWN = {
    "7 customers are too few to learn from: at least 7 are needed (churn.minimum.customers).",
    "7 days are too few for a horizon of 7 days: at least 7 are needed, one horizon to learn from and one to be judged "
    "by.",
    "No 7: churn by inactivity cannot be predicted. Set churn.activity to kinds that the data have (7), or "
    "churn.definition to event.",
    "No cancellations: churn by event cannot be learned.",
    "7; none came in the last 7 weeks.", "7: about 7 weeks to go.", "7: they have come.",
    "measure: measure.held_out names 7, of which no treatments are recorded.",
    "no group is significantly worse off.",
    "7; making it good, as happens to 7, 7.",
    "After 7, 7 leave within 7 days, 7 of matched controls after a good one: 7.",
    "The tolerance curve and the moments of truth are measured on a sample: 7 of 7 customers.",
}  # fmt: skip


@pytest.mark.parametrize("path", WRITERS)
def test_every_sentence_that_a_report_can_hold_is_said_in_italian(path: str) -> None:
    found = [text for text in sentences(path) if text not in NOT_SHOWN and text not in CHECKS.values()]
    assert found
    whole = [each for text in found for each in WHOLE.get(text, [text])]
    assert [text for text in whole if 'lang="en"' in translated(words("it"), text)] == []


def test_what_is_said_of_parts_is_of_texts_that_the_code_still_has() -> None:
    assert {*WHOLE, *NOT_SHOWN} <= {text for path in WRITERS for text in sentences(path)}


BY_HAND = "If it should be champion all the same: `fedelta promote --because REASON`"
JUDGED = "log loss -0.0120 [-0.0200, -0.0040]; CLV Gini has no meaning here; against the champion on 1,234 customers"


@pytest.mark.parametrize(
    "text",
    [
        "too few touchpoints",
        "the gate",
        "there was no champion to beat; its ECE is 0.0120",
        "there was no champion to beat; its ECE is 0.1200, above gate.max_ece 0.05: look before you use it",
        f"a customer is in one of the evaluations twice, so the rows cannot be matched. {BY_HAND}",
        "12 customers with the same outcome are in both evaluations, of 1,234; a comparison takes 100, some of whom "
        f"left and some stayed. {BY_HAND}",
        "the champion has another churn definition (event, not inactivity), so the same rows cannot judge both. "
        f"{BY_HAND}",
        "the champion learned from outcomes until 2024-03-01, after the evaluation cutoff 2024-02-01: for it these "
        f"rows are not out of time. Score at a later date, so that the evaluation moves on. {BY_HAND}",
        f"{JUDGED}: the champion is better",
        f"{JUDGED}: the interval includes 0, and a tie keeps the champion",
        f"{JUDGED}: better by log loss, but significantly worse by EMPC and CLV Gini",
        f"{JUDGED}: better at churn, but the champion predicts spend and the challenger does not",
        f"{JUDGED}: better, but its ECE 0.1200 is above gate.max_ece 0.05",
    ],
)
def test_clauses_of_pillars_and_of_the_gate_are_said_in_italian(text: str) -> None:
    found = str(translated(words("it"), text))
    assert 'lang="en"' not in found
    left = re.sub(r"`[^`]*`|log loss|EMPC|CLV Gini|ECE|gate\.max_ece|event|inactivity", "", html.unescape(found))
    assert not re.search(r"\b(the|champion|better|customers|is|of|and|with)\b", left)


@pytest.mark.parametrize(
    ("english", "italian"),
    [
        (
            "1 interaction is dated earlier than 2020-01-02 (from 1970-01-01 to 1970-01-01), after which nothing "
            "happened for 1,234 days. They are kept, and make their customers look that old. Correct the dates, or "
            "make them null if they stand for none.",
            "1 interazione ha una data anteriore al 2 gen 2020 (dal 1 gen 1970 al 1 gen 1970), dopo la quale per 1.234 "
            "giorni non è successo nulla.",
        ),
        (
            "Too few customers whose horizon is over: 12 treated and 3 held-out, of at least 100 each. An effect of",
            None,  # a sentence that nobody wrote follows
        ),
        (
            "What contacting cost is unknown of 7 of 1,234 treated customers, so neither cost nor profit is given. No "
            "amounts: orders can be predicted, money cannot.",
            "Il costo del contatto è ignoto per 7 clienti contattati su 1.234, quindi non si danno né costo né "
            "profitto. Nessun importo: gli ordini si possono prevedere, il denaro no.",
        ),
        (
            "log loss -0.0120 [-0.0200, -0.0040]; EMPC +0.0100 [-0.0010, +0.0200]; against the champion on 1,234 "
            "customers: better; its ECE is 0.0120",
            "log loss −0,0120 [−0,0200, −0,0040]; EMPC +0,0100 [−0,0010, +0,0200]; contro il campione su 1.234 "
            "clienti: migliore; il suo ECE è 0,0120",
        ),
    ],
)
def test_places_are_filled_in_italian(english: str, italian: str | None) -> None:
    found = str(translated(words("it"), english))
    assert ('lang="en"' in found) == (italian is None)
    assert italian is None or found.startswith(italian)
