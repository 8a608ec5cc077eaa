"""Candidates for the next purchase: rules that anybody would try, and boosted trees; each gives log-odds.

A rule has a score that ranks the categories, and a rising line from its logarithm to the log-odds of a purchase, so
that its probabilities are comparable and its ranking stays what the rule says.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fedelta.features.categories import HALF_LIVES
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble, TrainingRows, fit_ensemble
from fedelta.models.metrics.calibration_line import clipped_logit, logistic_line
from fedelta.models.next_purchase.associations import Associations, fit_associations, in_last
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.next_purchase.settings import NextSettings
from fedelta.models.rounding import FINEST, FITTED, rounded_log, significant

Floats = npt.NDArray[np.float64]
Rule = Literal["popularity", "own_last", "own_frequency", "item_to_item"]
Name = Literal[Rule, "lightgbm", "blend"]
RULES: tuple[Rule, ...] = get_args(Rule)
NAMES: tuple[Name, ...] = get_args(Name)  # simplest first

_FILL = 1e-3  # weight of popularity, which orders what a rule leaves equal
_EVER: tuple[int | None, ...] = (*HALF_LIVES, None)  # half-lives of frequency; None: every purchase counts the same


@dataclass(frozen=True)
class Line:
    """Log-odds of a purchase by the logarithm of a score."""

    intercept: float
    slope: float  # above 0: the ranking is the score's

    def through(self, score: Floats) -> Floats:
        """Log-odds of each score."""
        return rounded_log(self.intercept + self.slope * np.log(score))


@dataclass(frozen=True)
class Fitted:
    """Every candidate, fitted on the same rows.

    `half_life` is that of own frequency, in days; None counts every purchase the same.
    """

    associations: Associations
    lines: Mapping[str, Line]
    half_life: int | None
    encoding: Encoding
    ensemble: Ensemble

    def log_odds(self, rows: Rows, names: Collection[Name] = NAMES) -> dict[Name, Floats]:
        """Log-odds of a purchase in the horizon by candidates, before calibration (n_rows, n_categories)."""
        out: dict[Name, Floats] = {name: self._by_rule(name, rows) for name in RULES if name in names}
        if "lightgbm" not in names and "blend" not in names:
            return out
        start = out.get("own_frequency", self._by_rule("own_frequency", rows))
        raw = self.ensemble.raw(matrix(rows, self.associations, self.encoding)).reshape(start.shape)
        return {**out, "lightgbm": rounded_log(start + raw), "blend": rounded_log(start + raw / 2)}

    def _by_rule(self, name: Rule, rows: Rows) -> Floats:
        return self.lines[name].through(_score(name, rows, self.associations, self.half_life))

    def to_dict(self) -> dict[str, object]:
        """As JSON, but for the boosters."""
        return {
            "associations": self.associations.to_dict(),
            "lines": {name: asdict(line) for name, line in self.lines.items()},
            "half_life": self.half_life,
            "encoding": self.encoding.to_dict(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], texts: Sequence[str]) -> "Fitted":
        """Back from JSON and the boosters' texts."""
        return cls(
            Associations.from_dict(document["associations"]),
            {name: Line(**line) for name, line in document["lines"].items()},
            document["half_life"],
            Encoding.from_dict(document["encoding"]),
            Ensemble.from_text(texts),
        )


def fit_candidates(rows: Rows, settings: NextSettings, threads: int = 2) -> Fitted:
    """Fit every candidate on rows whose outcomes are known.

    Boosted trees read the associations too, and those are counted in the same rows.
    """
    found = fit_associations(rows)
    target = rows.bought.ravel()
    lines: dict[str, Line] = {}
    losses: dict[int | None, tuple[float, Line]] = {}
    for name in RULES:
        if name != "own_frequency":
            lines[name], _ = _line(_score(name, rows, found, None), target)
            continue
        for half_life in _EVER:
            line, loss = _line(_score(name, rows, found, half_life), target)
            losses[half_life] = loss, line
    best = min(_EVER, key=lambda one: losses[one][0])
    lines["own_frequency"] = losses[best][1]
    codes = tuple(str(number) for number in range(rows.bought.shape[1]))
    encoding = Encoding(tuple(_columns(rows, found)), {"category": codes})
    start = lines["own_frequency"].through(_score("own_frequency", rows, found, best))
    read, how = TrainingRows(matrix(rows, found, encoding), encoding), settings.boosting
    ensemble = fit_ensemble(read, target, how, "binary", init_score=start.ravel(), threads=threads)
    return Fitted(found, lines, best, encoding, ensemble)


def matrix(rows: Rows, associations: Associations, encoding: Encoding) -> Floats:
    """What the trees read: a row per row and category, (n_rows × n_categories, n_names)."""
    columns, shape = _columns(rows, associations), rows.bought.shape
    return np.column_stack([np.broadcast_to(columns[name], shape).ravel() for name in encoding.names])


def _columns(rows: Rows, associations: Associations) -> dict[str, Floats]:
    """Columns by name, each (n_rows, n_categories) or of a shape that broadcasts to it."""
    return {
        **rows.by_category,
        "category_share": rows.by_category["category_count"] / np.maximum(rows.by_customer["occasions"], 1)[:, None],
        "associated_with_history": associations.by_history(rows),
        "associated_with_last": associations.by_last(rows),
        "popularity": associations.popularity[None, :],
        "category": np.arange(rows.bought.shape[1], dtype=np.float64)[None, :],
        **{name: values[:, None] for name, values in rows.by_customer.items()},
    }


def _score(name: Rule, rows: Rows, associations: Associations, half_life: int | None) -> Floats:
    fill = _FILL * associations.popularity
    if name == "popularity":
        return np.tile(associations.popularity, (len(rows), 1))
    if name == "own_last":
        return in_last(rows) + fill
    if name == "own_frequency":
        column = "category_count" if half_life is None else f"category_decayed_{half_life}d"
        return rows.by_category[column] + fill
    return associations.by_history(rows)


def _line(score: Floats, target: Floats) -> tuple[Line, float]:
    """The line through a score, and its mean log loss; where none rises, a hair's breadth above the mean rate."""
    x = np.log(score).ravel()
    found = logistic_line(target, x, np.ones(len(x)))
    if not found.slope > 0:  # none exists, or the rule is worse than chance: nearly the mean rate, in the rule's order
        found = found._replace(intercept=float(clipped_logit(np.array([target.mean()]))[0]), slope=1e-6)
    line = Line(significant(found.intercept, FITTED, FINEST), significant(found.slope, FITTED, FINEST))
    odds = line.intercept + line.slope * x
    return line, significant(float(np.mean(np.logaddexp(0, odds) - target * odds)), FITTED)
