"""Why a score is what it is: contributions to the log-odds, gathered by theme in plain words."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.attributes import BAD_PREFIX, PREFIX
from fedelta.features.feature import Feature
from fedelta.features.registry import EVERY
from fedelta.models.churn.baselines import BASE
from fedelta.models.churn.candidates import contributions
from fedelta.models.churn.model import ChurnModel
from fedelta.models.panel import activity_in
from fedelta.models.peers import Peers, peers_of
from fedelta.models.rounding import FINEST, PREDICTED, significant

Floats = npt.NDArray[np.float64]

MOST_REASONS = 5
_NEAR = 0.5  # of the weightiest fact's contribution
PRIOR = "rhythm"  # what buy-till-you-die models say is the customer's rhythm
_PRIOR_SAYS = {
    "pareto_p_alive": "chance of still being a customer, by the rhythm of purchases",
    "pareto_p_any": "chance of a purchase in the horizon, by the rhythm of purchases",
    "bg_p_any": "chance of a purchase in the horizon, by the rhythm of purchases, if customers leave after one",
    "pareto_expected_orders": "purchases to expect in the horizon, by the rhythm of purchases",
    "pareto_expected_spend": "money to expect in the horizon, by the rhythm of purchases",
}
_ACTIVITY_SAYS = {  # where activity is declared, these models count it
    name: words.replace("a purchase", "activity").replace("purchases", "activity")
    for name, words in _PRIOR_SAYS.items()
}
_FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in EVERY}


def theme_of(name: str) -> str:
    """The theme a column's share of a score belongs to."""
    if name in _FEATURES:
        return _FEATURES[name].theme
    if name.startswith(BAD_PREFIX):
        return "experience"
    return "attributes" if name.startswith(PREFIX) else PRIOR


def says(name: str, activity: str = "purchase") -> str:
    """What a column means, in words; `activity` as of `models.panel.activity_in`."""
    if name in _FEATURES:
        return _FEATURES[name].says
    prior = _PRIOR_SAYS if activity == "purchase" else _ACTIVITY_SAYS
    return prior.get(name) or name.removeprefix(BAD_PREFIX).removeprefix(PREFIX).replace("_", " ")


def theme_contributions(model: ChurnModel, table: pd.DataFrame) -> pd.DataFrame:
    """What each theme adds to the log-odds of churn before calibration: (n_rows, n_themes); rows sum to `log_odds`."""
    return _by_theme(contributions(model.components, table))


def reasons(model: ChurnModel, table: pd.DataFrame) -> list[list[dict[str, object]]]:
    """Per row, the themes that move its score most: theme, the telling fact in words, contribution to the log-odds.

    The fact pulls the way its theme does. It has the customer's value and, where it is a number, the median of the
    peers (`models.peers`); one that is as usual is given only where nothing nearly as weighty is not.
    """
    if table.empty:
        return []
    parts = contributions(model.components, table)
    by_theme = _by_theme(parts).drop(columns=BASE)
    names = [str(name) for name in parts.columns if name != BASE]
    moved = significant(parts[names].to_numpy(np.float64), PREDICTED, FINEST)
    of = {theme: [i for i, name in enumerate(names) if theme_of(name) == theme] for theme in by_theme.columns}
    values = significant(by_theme.to_numpy(np.float64), PREDICTED, FINEST)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :MOST_REASONS]
    out, activity = [], activity_in(table)
    for row, peers in enumerate(peers_of(model.peers, table)):
        given = []
        for i in order[row]:
            theme = str(by_theme.columns[i])
            pull = {names[at]: float(moved[row, at] * np.sign(values[row, i])) for at in of[theme]}
            name = _telling(pull, table, row, peers)
            text = _in_words(says(name, activity), name, table[name].iloc[row], peers)
            given.append({"theme": theme, "text": text, "contribution": float(values[row, i])})
        out.append(given)
    return out


def _telling(pull: Mapping[str, float], table: pd.DataFrame, row: int, peers: Peers | None) -> str:
    """The column that pulls most the way of its theme; if its value is as usual, the next that is not, if near."""
    ordered = sorted(pull, key=lambda name: -pull[name])
    near = [name for name in ordered if pull[name] >= _NEAR * pull[ordered[0]]]
    return next((name for name in near if not _as_usual(name, table[name].iloc[row], peers)), ordered[0])


def _as_usual(name: str, value: str | float | None, peers: Peers | None) -> bool:
    if isinstance(value, str) or peers is None or name not in peers.usual:
        return False
    return _number(value) == _number(peers.usual[name])


def _by_theme(parts: pd.DataFrame) -> pd.DataFrame:
    """Contributions of columns added up by theme, `base` first."""
    out: dict[str, Floats] = {}
    for name in parts.columns:
        theme = BASE if name == BASE else theme_of(str(name))
        out[theme] = out.get(theme, 0.0) + parts[name].to_numpy(np.float64)
    return pd.DataFrame(out)


def _in_words(words: str, name: str, value: str | float | None, peers: Peers | None) -> str:
    if isinstance(value, str):
        return f"{words}: {value}"
    beside = f" (usual among {peers.says}: {_number(peers.usual[name])})" if peers and name in peers.usual else ""
    return f"{words}: {_number(value)}{beside}"


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "none"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2g}"
