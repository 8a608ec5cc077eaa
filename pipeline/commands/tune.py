"""``fedelta tune``: search the settings of the churn model in use on training cutoffs alone; say what that gained."""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import read_contract
from fedelta.models.churn.candidate import Range, Tuning
from fedelta.models.churn.candidates import candidates
from fedelta.models.churn.model import fit_churn, too_little
from fedelta.models.churn.settings import ChurnSettings, TuneSettings
from fedelta.models.learning.competition import out_of_time_folds
from fedelta.models.metrics.bootstrap import Interval, Resampling, paired_difference
from fedelta.models.metrics.metrics import log_loss
from fedelta.models.panel import Panel
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.commands.use import set_params
from fedelta.pipeline.panel import read_training
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.training import THREADS

if TYPE_CHECKING:
    import optuna

Floats = npt.NDArray[np.float64]
Values = dict[str, float | int]

STORAGE = Path("data/tune.db")
REPORT = Path("reports/tuning.json")


@dataclass(frozen=True)
class Tuned:
    """What the search found."""

    best: Values
    trials: int
    pruned: int
    gain: Interval  # log loss of the best minus that of the present settings; below 0 the best is better

    @property
    def sure(self) -> bool:
        """Whether the best is better beyond chance."""
        return self.gain.high < 0


class NothingToTune(FedeltaError):
    """Settings cannot be compared on the training rows."""


def main(settings: TuneSettings, *, candidate: str | None = None, write: bool = False, storage: Path = STORAGE) -> None:
    """Tune the project's churn model and say what was found; `write` keeps it in params.yaml if significantly better.

    Tuned is the `candidate`, or else the one that params.yaml asks for, or that the bundle chose.
    """
    params = load_params()
    churn, why = to_tune(params.churn, candidate)
    params = replace(params, churn=churn)
    panel = read_training("evaluated", most=params.engine.learn_customers)
    if not len(panel):
        raise NothingToTune(
            "There are no training cutoffs before an evaluation cutoff, as in a table of customers or a short history: "
            "settings are compared on later cutoffs. Bring a longer history."
        )
    storage.parent.mkdir(parents=True, exist_ok=True)
    tuned = tune(panel, params, settings, f"sqlite:///{storage}")
    print(f"Tuned: {churn.candidate}, {why}.\n{in_words(tuned, churn)}")
    found = {**asdict(tuned), "gain": tuned.gain.as_dict(), "sure": tuned.sure}
    write_json(REPORT, {"candidate": churn.candidate, "section": _tuning(churn).section, **found})
    if write and tuned.sure:
        wanted: dict[str, Any] = {f"{_tuning(churn).section}.{name}": value for name, value in tuned.best.items()}
        print("\n".join(set_params(paths.PARAMS, wanted)))
    elif write:
        print("params.yaml is unchanged: no gain was shown.")


def to_tune(churn: ChurnSettings, asked: str | None = None) -> tuple[ChurnSettings, str]:
    """The settings with the candidate to tune, and who named it.

    Raises
    ------
    NothingToTune
        If it has no settings to search.
    BadBundle
        If the bundle is to tell and there is none.
    """
    if asked:
        name, why = asked, "as asked"
    elif churn.candidate != "auto":
        name, why = churn.candidate, "as churn.candidate says"
    else:
        name, why = _heaviest(read_contract(paths.measured_fit(paths.CHURN_BUNDLE))), "which the bundle chose"
    if name not in (tunable := _tunable()):
        raise NothingToTune(
            f"The churn model is {name}, {why}: it has no settings that could be searched. To tune one that "
            f"has, name it: --candidate {', '.join(tunable[:-1])} or {tunable[-1]}."
        )
    return replace(churn, candidate=name), why


def _heaviest(contract: Mapping[str, Any]) -> str:
    """The candidate of a bundle; of a blend the one of the largest weight among those with settings to tune."""
    parts: dict[str, float] = {
        held["candidate"]: held["weight"] for held in contract.get("selection", ()) if held["weight"]
    }
    tunable = [name for name in parts if name in _tunable()] or list(parts) or [contract["candidate"]]
    return max(tunable, key=lambda name: parts.get(name, 0.0))


def tune(panel: Panel, params: Params, settings: TuneSettings, storage: str) -> Tuned:
    """Search on one half of the customers, judge on the other, always at cutoffs after all that was learned from.

    Trials are proposed by a seeded tree-structured Parzen estimator (Bergstra et al. 2011) and dropped at the first
    fold where they lag behind the median of those before. The best of many looks better than it is on the rows that
    elected it; so the verdict is of customers whose outcomes elected nothing. The same study goes on when called
    again on the same rows and settings.

    Parameters
    ----------
    panel : Panel
        Training rows only: the evaluation cutoff is never looked at.
    params : Params
        Their `churn.candidate` is tuned (`to_tune`).
    storage : str
        URL of the database that keeps the trials.

    Raises
    ------
    NothingToTune
        If no training cutoff lies after the horizon of another, or no trial was finished.
    """
    import optuna  # noqa: PLC0415 - an optional package, slow to import

    order = _order(panel, settings.seed)
    searched = panel.where(order < settings.customers)
    folds = _folds(searched, order[order < settings.customers] % 2 == 0, params)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage,
        study_name=_fingerprint(panel, params, settings),
        sampler=optuna.samplers.TPESampler(seed=settings.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        load_if_exists=True,
    )
    _search(study, folds, params, settings)
    complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
    if not complete:
        raise NothingToTune(f"No trial was finished within {settings.seconds} seconds. Allow more (--seconds).")
    best: Values = study.best_trial.user_attrs["values"]
    gain = _verdict(_folds(panel, order % 2 == 1, params), best, params)
    return Tuned(best, len(complete) + len(pruned), len(pruned), gain)


def in_words(tuned: Tuned, present: ChurnSettings) -> str:
    """The finding in words and a table."""
    settings = _tuning(present).read(present)
    rows = [f"{name:<16}{getattr(settings, name):>10g}{value:>10g}" for name, value in tuned.best.items()]
    gain = tuned.gain
    words = (
        "significantly better" if tuned.sure else "significantly worse" if gain.low > 0 else "no better beyond chance"
    )
    return "\n".join(
        [
            f"{tuned.trials} trials, {tuned.pruned} of them dropped early.",
            f"{_tuning(present).section + ':':<16}{'present':>10}{'best':>10}",
            *rows,
            f"Log loss of the best minus the present, of customers the search never asked, out of time: "
            f"{gain.value:+.5f} [{gain.low:+.5f}, {gain.high:+.5f}]: {words}.",
        ]
    )


@dataclass(frozen=True)
class _Fold:
    past: Panel
    present: Panel


def _order(panel: Panel, seed: int) -> npt.NDArray[np.intp]:
    """A place in a random line for the customer of each row (n_rows,): the same customers, the same line."""
    codes, ids = pd.factorize(panel.table["customer_id"], sort=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(ids))[codes], np.intp)


def _folds(panel: Panel, asked: npt.NDArray[np.bool_], params: Params) -> list[_Fold]:
    """Rows whose outcome was known at a cutoff, and of the rows at it those that may be asked."""
    may = set(panel.table.index[asked])
    folds = []
    for past, present in out_of_time_folds(panel):
        mine = present.where(present.table.index.isin(may))
        if len(mine) and not too_little(past, params.churn):
            folds.append(_Fold(past, mine))
    if not folds:
        raise NothingToTune(
            "No training cutoff lies after the horizon of another with customers enough before it, so settings cannot "
            "be compared out of time. Bring a longer history, shorten horizon_days, or raise cutoffs.train."
        )
    return folds


def _search(study: "optuna.Study", folds: list[_Fold], params: Params, settings: TuneSettings) -> None:
    """Trials until the budget is spent."""
    import optuna  # noqa: PLC0415 - as above

    done = sum(trial.state.is_finished() for trial in study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + done)  # going on, not the same draws again
    tuning = _tuning(params.churn)
    space, used = tuning.space, tuning.read(params.churn)
    present: Values = {name: getattr(used, name) for name in space}
    if all(held.low <= present[name] <= held.high for name, held in space.items()):
        study.enqueue_trial(present, skip_if_exists=True)
    left = settings.trials - done
    if left <= 0:
        return

    def loss(trial: optuna.Trial) -> float:
        values = {name: _draw(held, trial, name) for name, held in space.items()}
        trial.set_user_attr("values", values)
        surprise: list[float] = []
        for step, fold in enumerate(folds):
            probability = _forecast(fold, replace(tuning.change(params.churn, values), seeds=1), params)
            surprise.append(log_loss(fold.present.churned(params.churn.definition), probability))
            trial.report(float(np.mean(surprise)), step)
            if step + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(surprise))

    with tqdm(total=left, desc="tune", unit="trial", mininterval=1 if sys.stderr.isatty() else 15) as progress:

        def count(_study: optuna.Study, _trial: optuna.trial.FrozenTrial) -> None:
            progress.update()

        study.optimize(loss, n_trials=left, timeout=settings.seconds, callbacks=[count])


def _verdict(folds: Iterable[_Fold], best: Values, params: Params) -> Interval:
    churned, better, present, customer = [], [], [], []
    for fold in folds:
        churned.append(fold.present.churned(params.churn.definition))
        better.append(_forecast(fold, _tuning(params.churn).change(params.churn, best), params))
        present.append(_forecast(fold, params.churn, params))
        customer.append(fold.present.table["customer_id"].to_numpy(str))
    return paired_difference(
        log_loss,
        *(np.concatenate(parts) for parts in (churned, better, present)),
        customer=np.concatenate(customer),
        resampling=Resampling(params.evaluate.bootstrap, seed=params.evaluate.seed),
    )


def _forecast(fold: _Fold, churn: ChurnSettings, params: Params) -> Floats:
    """Churn probability of the rows held out, by the candidate of these settings; others do not compete."""
    model = fit_churn(
        fold.past,
        churn,
        horizon_days=params.horizon_days,
        lead_days=params.lead_days,
        threads=THREADS,
    )
    return model.churn_probability(fold.present.table)


def _tunable() -> list[str]:
    """The candidates with settings to search."""
    return [name for name, held in candidates().items() if held.tuning]


def _tuning(churn: ChurnSettings) -> Tuning:
    """The tuning of the candidate that the settings name."""
    tuning = candidates()[churn.candidate].tuning
    assert tuning is not None  # `to_tune`
    return tuning


def _draw(values: Range, trial: "optuna.Trial", name: str) -> float | int:
    """A value; of reals two digits are kept, which is all that matters and reads well in params.yaml."""
    if isinstance(values.low, int):
        return trial.suggest_int(name, values.low, int(values.high), log=values.log)
    return float(f"{trial.suggest_float(name, values.low, values.high, log=values.log):.2g}")


def _fingerprint(panel: Panel, params: Params, settings: TuneSettings) -> str:
    """The name of the study: other rows, recipe or draw of customers, another study."""
    digest = hashlib.sha256(pd.util.hash_pandas_object(panel.table, index=False).to_numpy().tobytes())
    digest.update(panel.churned(params.churn.definition).tobytes())
    recipe = (params.churn, params.horizon_days, params.lead_days, settings.customers, _tuning(params.churn).space)
    digest.update(repr(recipe).encode())
    return f"churn-{digest.hexdigest()[:12]}-seed{settings.seed}"
