"""How personas are found: groups that two halves of the customers agree on, with ids that stay with their people."""

from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from fedelta.models.loyalty.persona_traits import Scale, effects, points, scales_of
from fedelta.models.loyalty.personas import Persona, PersonaModel, nearest
from fedelta.models.loyalty.settings import PersonaSettings

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]

FEWEST = 200  # customers
SHARED = 0.5  # of the people of two groups together (Jaccard) that must be in both for them to be one persona
_HALVES = 6  # times the customers are split to see whether both halves yield the same groups
_STARTS = 8
_HALF = 3000  # customers looked at in a half, and for the silhouette
_RELATED = 0.05  # gap from which traits go together; customers who differed by chance alone had 0.003 at most
_NEARLY = 0.05  # of stability that a finer division may lose: one that splits a kind by chance loses more
_CLARITY = 0.4  # of the best silhouette among stable divisions that a finer one must keep
_NOTABLE = 0.4  # standard deviations from the base that are worth a word in a name
_SLACK = 0.2  # by how much the best stability may fall below that of new personas before those that exist are given up


@dataclass(frozen=True)
class Groups:
    """A division of the customers into k groups, and how well it holds."""

    centres: Floats
    stability: float  # adjusted Rand index of the groups of two random halves, mean (Ben-Hur et al. 2002)
    silhouette: float  # Rousseeuw 1987
    gap: float  # log of how much tighter the groups are than were the traits unrelated (Tibshirani et al. 2001)


@dataclass(frozen=True)
class Search:
    """The personas found, and every number of groups that was tried."""

    model: PersonaModel
    tried: dict[int, Groups]
    kept: bool  # whether the personas of the run before stayed as they were


def find_personas(table: pd.DataFrame, settings: PersonaSettings, before: PersonaModel | None = None) -> Search:
    """Find the personas of the customers of one cutoff.

    Those of the run before stay as they were while they fit nearly as well as new ones; otherwise new ones take over
    the ids of those whose people they share. So a run on the data of the run before changes nothing.

    Parameters
    ----------
    table : DataFrame
        Features of all customers of one cutoff, sorted by customer.
    before : PersonaModel, optional
        What the run before found, of the same source.
    """
    born = before.born if before else 0
    table = _sample(table, settings)
    scales = scales_of(table)
    where = points(table, scales)
    most = min(settings.most, len(np.unique(where, axis=0))) if len(table) >= FEWEST else 0
    if reason := _nothing_to_tell(len(table), scales):
        return Search(PersonaModel(born=born, reason=reason), {}, kept=False)
    with threadpool_limits(1):  # the tasks are too small to share: on a busy machine threads took 20 times as long
        tried = {k: _groups(where, k, settings) for k in range(2, most + 1)}
    if before and _still_fits(before, table, where, tried, settings):
        return Search(before, tried, kept=True)
    stable = [k for k, g in tried.items() if g.stability >= settings.least_stability and g.gap >= _RELATED]
    if not stable:
        reason = (
            "The base is one persona: whatever the number of groups, two halves of the customers yield different ones "
            f"(adjusted Rand index {max((g.stability for g in tried.values()), default=0.0):.2f} at best, "
            f"{settings.least_stability:g} is needed), or no traits go together (gap "
            f"{max((g.gap for g in tried.values()), default=0.0):.3f} at best, {_RELATED:g} is needed)."
        )
        return Search(PersonaModel(born=born, reason=reason), tried, kept=False)
    chosen = tried[_finest(stable, tried)]
    return Search(_named(table, scales, where, chosen.centres, before), tried, kept=False)


def _finest(stable: list[int], tried: dict[int, Groups]) -> int:
    """The most groups that hold nearly as well as the division that holds best, and are not much less clear."""
    steadiest, clearest = (max(getattr(tried[k], what) for k in stable) for what in ("stability", "silhouette"))
    return max(
        (k for k in stable if tried[k].stability >= steadiest - _NEARLY and tried[k].silhouette >= _CLARITY * clearest),
        default=stable[0],
    )


def _nothing_to_tell(customers: int, scales: tuple[Scale, ...]) -> str | None:
    if customers < FEWEST:
        return f"No personas: {customers:,} customers are too few to tell kinds of them apart ({FEWEST} are needed)."
    if not {"channels", "experience"} & {scale.trait.theme for scale in scales}:
        return (
            "No personas: the data tell how often and for how much customers buy, but of no channel and no experience "
            "in which they differ."
        )
    return None


def _sample(table: pd.DataFrame, settings: PersonaSettings) -> pd.DataFrame:
    if len(table) <= settings.sample:
        return table
    drawn = np.random.default_rng(settings.seed).choice(len(table), settings.sample, replace=False)
    return table.iloc[np.sort(drawn)]


def _groups(where: Floats, k: int, settings: PersonaSettings) -> Groups:
    centres = _centres(where, k, settings.seed)
    rng = np.random.default_rng(settings.seed)
    agreement = []
    for _ in range(_HALVES):
        order = rng.permutation(len(where))
        halves = order[: len(order) // 2][:_HALF], order[len(order) // 2 :][:_HALF]
        groups = [nearest(where, _centres(where[half], k, settings.seed)) for half in halves]
        agreement.append(adjusted_rand_score(*groups))
    label = nearest(where, centres)
    drawn = rng.permutation(len(where))[:_HALF]
    distinct = np.unique(label[drawn]).size
    silhouette = silhouette_score(where[drawn], label[drawn]) if 1 < distinct < drawn.size else -1.0
    unrelated = np.column_stack([rng.permutation(trait) for trait in where.T])
    loose = _spread_within(unrelated, nearest(unrelated, _centres(unrelated, k, settings.seed)))
    tight = _spread_within(where, label)
    gap = np.log(loose / tight) if min(loose, tight) > 0 else 0.0
    return Groups(centres, float(np.mean(agreement)), float(silhouette), float(gap))


def _centres(where: Floats, k: int, seed: int) -> Floats:
    """Centres of k-means, to six digits: sums in another order are the same groups."""
    return np.asarray(KMeans(k, n_init=_STARTS, random_state=seed).fit(where).cluster_centers_.round(6), np.float64)


def _still_fits(
    before: PersonaModel, table: pd.DataFrame, where: Floats, tried: dict[int, Groups], settings: PersonaSettings
) -> bool:
    """Whether the personas of the run before divide these customers nearly as well as new ones of their number."""
    fresh = tried.get(len(before.personas))
    best = max((g.stability for g in tried.values() if g.gap >= _RELATED), default=0.0)
    if fresh is None or best < settings.least_stability - _SLACK:
        return False
    theirs, ours = (_spread_within(where, label) for label in (before.nearest(table), nearest(where, fresh.centres)))
    return theirs <= ours * (1 + settings.kept_within)


def _spread_within(where: Floats, label: Labels) -> float:
    """Squared distances of all points from the mean of their group, summed."""
    return float(sum(((where[label == g] - where[label == g].mean(axis=0)) ** 2).sum() for g in np.unique(label)))


def _named(
    table: pd.DataFrame, scales: tuple[Scale, ...], where: Floats, centres: Floats, before: PersonaModel | None
) -> PersonaModel:
    """New personas, largest first, with the ids and names of those of the run before whose people they share."""
    label = nearest(where, centres)
    order = np.argsort(-np.bincount(label, minlength=len(centres)), kind="stable")
    label = np.argsort(order)[label]
    inherited = _inherited(before, table, label, len(centres)) if before and before.personas else {}
    apart = effects(where, label, len(centres))
    taken = {persona.name for persona in inherited.values()}
    ids = count(1 + (before.born if before else 0))
    personas = []
    for group, centre in enumerate(centres[order]):
        if (old := inherited.get(group)) is None:
            name = _name(apart[group], scales, taken)
            taken.add(name)
            old = Persona(f"p{next(ids)}", name, ())
        personas.append(Persona(old.id, old.name, tuple(centre.tolist())))
    return PersonaModel(scales, tuple(personas), next(ids) - 1)


def _inherited(before: PersonaModel, table: pd.DataFrame, label: Labels, groups: int) -> dict[int, Persona]:
    """The persona of the run before that each group continues: the assignment that shares most people (Kuhn 1955)."""
    was = before.nearest(table)
    both = np.zeros((groups, len(before.personas)))
    np.add.at(both, (label, was), 1)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    shared = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    pairs = zip(*linear_sum_assignment(-shared), strict=True)
    return {int(g): before.personas[p] for g, p in pairs if shared[g, p] >= SHARED}


def _name(apart: Floats, scales: tuple[Scale, ...], taken: set[str]) -> str:
    """Two words or more for what sets a group apart, of different themes, until nobody else is called so."""
    words: list[tuple[str, str]] = []  # (theme, word)
    for at in np.argsort(-np.abs(apart), kind="stable"):
        trait = scales[at].trait
        word = trait.more if apart[at] > 0 else trait.less
        if word is None or abs(apart[at]) < _NOTABLE:
            continue
        if len(words) < 2 and trait.theme in {theme for theme, _ in words}:
            continue
        words.append((trait.theme, word))
        if len(words) >= 2 and _said(words) not in taken:
            break
    name = _said(words)
    return next(n for n in chain([name], (f"{name} {number}" for number in count(2))) if n not in taken)


def _said(words: list[tuple[str, str]]) -> str:
    order = ("experience", "behaviour", "value", "channels")
    text = " ".join(word for _, word in sorted(words, key=lambda held: order.index(held[0])))
    return f"{text or 'typical'} customers"
