"""Buy till you die gives the published figures, agrees with simulated customers, and never fails to fit."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, gammaln, hyp2f1

from fedelta.models.btyd.fits import (
    BgNbd,
    GammaGamma,
    InvalidHistory,
    NoCustomers,
    ParetoNbd,
    Summary,
    fit_bg_nbd,
    fit_gamma_gamma,
    fit_pareto_nbd,
)
from fedelta.models.btyd.fits import _bg_nbd_terms as bg_nbd_terms
from fedelta.models.btyd.fits import _pareto_nbd_terms as pareto_nbd_terms
from fedelta.models.btyd.gamma_gamma import _gamma_gamma_terms as gamma_gamma_terms
from fedelta.models.btyd.gamma_gamma import _Known as Known
from fedelta.models.btyd.integrals import purchases_until_dropout
from fedelta.models.btyd.purchase_summary import Condensed

Floats = npt.NDArray[np.float64]
WEEK = 7.0

BG_NBD = BgNbd(0.243, 4.414 * WEEK, 0.793, 2.426)
PARETO_NBD = ParetoNbd(0.553, 10.578 * WEEK, 0.606, 11.669 * WEEK)
PURCHASE_MODELS = pytest.mark.parametrize("model", [BG_NBD, PARETO_NBD], ids=["bg_nbd", "pareto_nbd"])
FITS = pytest.mark.parametrize("fit", [fit_bg_nbd, fit_pareto_nbd], ids=["bg_nbd", "pareto_nbd"])
Fit = Callable[[Summary], BgNbd | ParetoNbd]


def histories(frequency: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike) -> Summary:
    return Summary(*(np.asarray(column, dtype=np.float64) for column in (frequency, recency, age)))


def customer(frequency: float, recency: float, age: float) -> Summary:
    return histories([frequency], [recency], [age])


# --- The published CDNOW figures -------------------------------------------------------------------------------------


def cdnow_sample() -> Path:
    lifetimes = find_spec("lifetimes")  # not imported: its import warns
    packages = [Path(place) for place in (lifetimes.submodule_search_locations or ())] if lifetimes else []
    shared = Path(__file__).parents[3].parent / "shared" / "data" / "cdnow"
    for path in (*(p / "datasets" / "CDNOW_sample.txt" for p in packages), shared / "CDNOW_sample.txt.gz"):
        if path.exists():
            return path
    pytest.skip("the CDNOW sample is not here: install the extra `datasets`")


@dataclass(frozen=True)
class Cdnow:
    """The 2,357 customers over the first 39 weeks, orders of one day merged."""

    summary: Summary
    repeat_count: Floats
    repeat_spend: Floats


@pytest.fixture(scope="module")
def cdnow() -> Cdnow:
    orders = pd.read_csv(
        cdnow_sample(), sep=r"\s+", header=None, names=["id", "_", "day", "cds", "spend"], dtype={"id": str, "day": str}
    )
    orders["day"] = pd.to_datetime(orders["day"], format="%Y%m%d")
    present = pd.Timestamp("1997-09-30")
    days = orders[orders["day"] <= present].groupby(["id", "day"], as_index=False)["spend"].sum()
    of = days.groupby("id")["day"]
    first, repeats = of.min(), of.size() - 1
    repeat_days = days[days["day"] > days["id"].map(first)]
    spend = repeat_days.groupby("id")["spend"].mean().reindex(first.index).fillna(0.0)
    summary = Summary(repeats, (of.max() - first).dt.days, (present - first).dt.days)
    return Cdnow(summary, repeats.to_numpy(np.float64), spend.to_numpy(np.float64))


def in_weeks(log_likelihood_in_days: Floats, summary: Summary) -> float:
    return float(log_likelihood_in_days.sum() + summary.frequency.sum() * math.log(WEEK))


def test_bg_nbd_on_cdnow_gives_the_published_estimates(cdnow: Cdnow) -> None:
    model = fit_bg_nbd(cdnow.summary)
    assert (model.r, model.alpha / WEEK, model.a, model.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=5e-4)
    assert in_weeks(model.log_likelihood(cdnow.summary), cdnow.summary) == pytest.approx(-9582.4, abs=0.05)
    assert model.converged
    assert model.note == ""


def test_pareto_nbd_on_cdnow_gives_the_published_estimates(cdnow: Cdnow) -> None:
    model = fit_pareto_nbd(cdnow.summary)
    estimates = (model.r, model.alpha / WEEK, model.s, model.beta / WEEK)
    assert estimates == pytest.approx((0.553, 10.578, 0.606, 11.669), abs=5e-4)
    assert in_weeks(model.log_likelihood(cdnow.summary), cdnow.summary) == pytest.approx(-9595.0, abs=0.05)
    assert model.converged


def test_gamma_gamma_on_cdnow_gives_the_published_estimates(cdnow: Cdnow) -> None:
    spent = cdnow.repeat_spend > 0
    assert spent.sum() == 946
    assert cdnow.repeat_spend[spent].mean() == pytest.approx(35.08, abs=0.005)
    model = fit_gamma_gamma(cdnow.repeat_count, cdnow.repeat_spend)
    assert (model.p, model.q, model.gamma) == pytest.approx((6.25, 3.74, 15.44), abs=0.005)
    log_likelihood = model.log_likelihood(cdnow.repeat_count[spent], cdnow.repeat_spend[spent]).sum()
    assert log_likelihood == pytest.approx(-4055.92, abs=0.005)


def test_the_prior_does_not_move_the_cdnow_fit_at_all(cdnow: Cdnow) -> None:
    for fit, terms in ((fit_bg_nbd, bg_nbd_terms), (fit_pareto_nbd, pareto_nbd_terms)):
        parameters = np.array(list(fit(cdnow.summary).to_json().values())[-4:], dtype=np.float64)
        slope = terms(parameters, cdnow.summary)[1].sum(axis=1) * parameters
        assert np.abs(slope).max() < 1e-2  # of a log-likelihood near -9,600: the plain maximum


def test_a_published_customer_buys_1_226_times_in_the_next_39_weeks() -> None:
    # Fader, Hardie & Lee, "Implementing the BG/NBD model in Excel", customer 0001
    assert BG_NBD.expected_purchases(customer(2, 30.43 * WEEK, 38.86 * WEEK), 39 * WEEK) == pytest.approx(
        1.226, abs=5e-4
    )


def test_a_published_busy_customer_is_alive_and_buys_25_46_times_in_the_next_year() -> None:
    # the vignette of the R package BTYD, with its estimates for CDNOW
    model = ParetoNbd(0.5533971, 10.5801985 * WEEK, 0.6060625, 11.6562237 * WEEK)
    busy = customer(26, 30.86 * WEEK, 31 * WEEK)
    assert model.expected_purchases(busy, 52 * WEEK) == pytest.approx(25.46, abs=0.005)
    assert model.p_alive(busy) == pytest.approx(0.9979, abs=5e-5)


def test_two_orders_of_22_35_promise_a_third_of_24_66() -> None:
    model = GammaGamma(6.25, 3.74, 15.44)
    by_hand = 6.25 * (15.44 + 2 * 22.35) / (6.25 * 2 + 3.74 - 1)
    assert by_hand == pytest.approx(24.66, abs=0.005)
    assert model.expected_spend(2, 22.35) == pytest.approx(by_hand)


def test_who_never_ordered_is_expected_to_spend_what_all_do() -> None:
    model = GammaGamma(6.25, 3.74, 15.44)
    assert model.expected_spend([0, 0], [math.nan, 99.0]) == pytest.approx(6.25 * 15.44 / 2.74)


# --- The integrals, against other ways to compute them ---------------------------------------------------------------


HISTORIES = Summary(
    np.array([0.0, 0.0, 1.0, 2.0, 7.0, 20.0, 3.0]),
    np.array([0.0, 0.0, 1.0, 213.0, 60.0, 250.0, 250.0]),
    np.array([0.0, 200.0, 272.0, 272.0, 265.0, 252.0, 250.0]),
)


def test_pareto_nbd_likelihood_is_that_of_the_hypergeometric_form() -> None:
    # Fader & Hardie (2005), "A note on deriving the Pareto/NBD model", eq. (20), for alpha >= beta by exchange
    r, alpha, s, beta = 0.553, 60.0, 0.606, 81.0
    x, t_x, T = HISTORIES.frequency, HISTORIES.recency, HISTORIES.age

    def part(t: Floats) -> Floats:
        k = r + s + x
        return np.asarray(hyp2f1(k, r + x, k + 1, (beta - alpha) / (beta + t)) / (beta + t) ** k)

    dead = s / (r + s + x) * (part(t_x) - part(T))
    likelihood = alpha**r * beta**s * (dead + (alpha + T) ** -(r + x) * (beta + T) ** -s)
    expected = gammaln(r + x) - gammaln(r) + np.log(likelihood)
    assert ParetoNbd(r, alpha, s, beta).log_likelihood(HISTORIES) == pytest.approx(expected, rel=1e-9)


def test_bg_nbd_expectation_is_that_of_the_hypergeometric_form() -> None:
    # Fader, Hardie & Lee (2005), eq. (10)
    r, alpha, a, b = 0.243, 30.9, 0.793, 2.426
    x, T, days = HISTORIES.frequency, HISTORIES.age, 100.0
    z = days / (alpha + T + days)
    stay = (1 - z) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, z)
    expected = BgNbd(r, alpha, a, b).p_alive(HISTORIES) * (a + b + x - 1) / (a - 1) * (1 - stay)
    assert BgNbd(r, alpha, a, b).expected_purchases(HISTORIES, days) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("a", [0.1, 0.5, 1.0, 3.0, 80.0])
@pytest.mark.parametrize(
    ("b", "k", "span"), [(0.05, 0.05, 2.0), (2.4, 0.2, 500.0), (900.0, 900.0, 0.4), (40.0, 3.0, 1e-3)]
)
def test_purchases_until_dropout_is_the_mean_it_says(a: float, b: float, k: float, span: float) -> None:
    def in_logit(y: float) -> float:
        log_p, log_not_p = -np.logaddexp(0, -y), -np.logaddexp(0, y)
        density = np.exp(a * log_p + b * log_not_p - betaln(a, b))
        return float(density * -np.expm1(-k * np.log1p(np.exp(log_p) * span)) / np.exp(log_p))

    mode = math.log(a / b)
    breaks = [-600.0, mode - 30, mode - 5, mode - 1, mode, mode + 1, mode + 5, mode + 30, 600.0]
    expected = sum(quad(in_logit, lo, hi, limit=500, epsabs=0, epsrel=1e-10)[0] for lo, hi in pairwise(breaks))
    got = purchases_until_dropout(a, np.array([b]), np.array([k]), np.array([span]))
    assert got == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("history", [(0, 0, 200), (2, 213, 272), (20, 250, 252), (400, 700, 701)])
@pytest.mark.parametrize("days", [1.0, 90.0, 5000.0])
def test_pareto_nbd_chance_of_a_purchase_is_the_integral_over_the_next_purchase(
    history: tuple[float, float, float], days: float
) -> None:
    model, who = PARETO_NBD, customer(*history)
    k, A, B = model.r + history[0], model.alpha + history[2], model.beta + history[2]

    def next_purchase(u: float) -> float:
        return float(k / A * (1 + u / A) ** (-k - 1) * (1 + u / B) ** -model.s)

    integral = sum(quad(next_purchase, lo * days, hi * days)[0] for lo, hi in ((0, 0.01), (0.01, 0.1), (0.1, 1)))
    assert model.p_any_purchase(who, days) / model.p_alive(who) == pytest.approx(integral, rel=1e-7)


@pytest.mark.parametrize("terms", [bg_nbd_terms, pareto_nbd_terms])
def test_the_gradient_is_the_slope_of_the_likelihood(terms: Callable[..., tuple[Floats, Floats]]) -> None:
    at = np.array([0.3, 45.0, 0.7, 20.0])
    assert terms(at, HISTORIES)[1] == pytest.approx(
        slope_by_difference(lambda p: terms(p, HISTORIES)[0], at), rel=1e-6, abs=1e-8
    )


def test_the_gradient_is_the_slope_of_the_spend_likelihood() -> None:
    n, mean = np.array([1.0, 2.0, 30.0]), np.array([5.0, 80.0, 31.5])
    at = np.array([6.0, 3.5, 15.0])
    known = Known.of(n, mean)
    by_difference = slope_by_difference(lambda p: gamma_gamma_terms(p, known)[0], at)
    assert gamma_gamma_terms(at, known)[1] == pytest.approx(by_difference, rel=1e-6, abs=1e-8)


def slope_by_difference(value: Callable[[Floats], Floats], at: Floats) -> Floats:
    steps = 1e-5 * at
    return np.array([(value(at + d) - value(at - d)) / (2 * d.sum()) for d in np.diag(steps)])


# --- Simulated customers ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lives:
    """Simulated customers: what is seen until today, and the truth about today and the days that follow."""

    summary: Summary
    alive: npt.NDArray[np.bool_]
    future: Floats


def live_pareto_nbd(model: ParetoNbd, age: Floats, days: float, seed: int) -> Lives:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(model.r, 1 / model.alpha, len(age))
    death = rng.exponential(1 / rng.gamma(model.s, 1 / model.beta, len(age)))
    frequency = rng.poisson(rate * np.minimum(death, age)).astype(np.float64)
    last = np.minimum(death, age) * rng.random(len(age)) ** (1 / np.maximum(frequency, 1))
    future = rng.poisson(rate * np.maximum(np.minimum(death, age + days) - age, 0)).astype(np.float64)
    return Lives(Summary(frequency, np.where(frequency > 0, last, 0.0), age), death > age, future)


def live_bg_nbd(model: BgNbd, age: Floats, days: float, seed: int) -> Lives:
    rng = np.random.default_rng(seed)
    rate, leave = rng.gamma(model.r, 1 / model.alpha, len(age)), rng.beta(model.a, model.b, len(age))
    clock, frequency, last, future = np.zeros((4, len(age)))
    alive = np.ones(len(age), dtype=bool)
    active = np.flatnonzero(rate > 1e-9)
    while len(active):
        clock[active] += rng.exponential(1 / rate[active])
        active = active[clock[active] <= age[active] + days]
        seen = clock[active] <= age[active]
        frequency[active] += seen
        future[active] += ~seen
        last[active[seen]] = clock[active[seen]]
        gone = rng.random(len(active)) < leave[active]
        alive[active[gone & seen]] = False
        active = active[~gone]
    return Lives(Summary(frequency, last, age), alive, future)


DAYS_AHEAD = 120.0


@pytest.fixture(scope="module", params=["bg_nbd", "pareto_nbd"])
def simulated(request: pytest.FixtureRequest) -> tuple[BgNbd | ParetoNbd, Lives]:
    age = np.random.default_rng(3).integers(1, 600, 60_000).astype(np.float64)
    if request.param == "bg_nbd":
        bg_nbd = BgNbd(0.6, 30.0, 0.8, 2.5)
        return bg_nbd, live_bg_nbd(bg_nbd, age, DAYS_AHEAD, seed=5)
    pareto_nbd = ParetoNbd(0.6, 30.0, 0.7, 90.0)
    return pareto_nbd, live_pareto_nbd(pareto_nbd, age, DAYS_AHEAD, seed=5)


@pytest.mark.parametrize("question", ["p_alive", "p_any_purchase", "expected_purchases"])
def test_every_tenth_of_simulated_customers_does_what_was_predicted(
    simulated: tuple[BgNbd | ParetoNbd, Lives], question: str
) -> None:
    model, lives = simulated
    predicted, happened = {
        "p_alive": (model.p_alive(lives.summary), lives.alive.astype(np.float64)),
        "p_any_purchase": (model.p_any_purchase(lives.summary, DAYS_AHEAD), (lives.future > 0).astype(np.float64)),
        "expected_purchases": (model.expected_purchases(lives.summary, DAYS_AHEAD), lives.future),
    }[question]
    for tenth in np.array_split(np.argsort(predicted, kind="stable"), 10):
        surprise = happened[tenth] - predicted[tenth]
        assert (
            abs(surprise.sum()) < 4 * surprise.std() * np.sqrt(len(tenth)) + 3
        )  # 3: of rare events too few for a normal law


@FITS
def test_a_fit_finds_the_truth_of_simulated_customers(fit: Fit, simulated: tuple[BgNbd | ParetoNbd, Lives]) -> None:
    model, lives = simulated
    fitted = fit(lives.summary)
    assert fitted.converged
    if type(fitted) is type(model):
        truth, found = (np.array(list(m.to_json().values())[-4:], dtype=np.float64) for m in (model, fitted))
        assert found == pytest.approx(truth, rel=0.06)
    predicted = fitted.expected_purchases(lives.summary, DAYS_AHEAD).sum()
    assert predicted == pytest.approx(lives.future.sum(), rel=0.02 if type(fitted) is type(model) else 0.3)


def test_gamma_gamma_finds_the_truth_of_simulated_spend() -> None:
    rng = np.random.default_rng(11)
    n = rng.geometric(0.2, 60_000).astype(np.float64)
    scale = rng.gamma(4.0, 1 / 20.0, len(n))
    mean = rng.gamma(6.0 * n, 1 / (scale * n))
    model = fit_gamma_gamma(n, mean)
    assert (model.p, model.q, model.gamma) == pytest.approx((6.0, 4.0, 20.0), rel=0.15)
    for tenth in np.array_split(np.argsort(mean), 10):
        surprise = (6.0 / scale - model.expected_spend(n, mean))[tenth]
        assert abs(surprise.mean()) < 4 * surprise.std() / np.sqrt(len(tenth))


# --- Laws ------------------------------------------------------------------------------------------------------------


shape, scale = st.floats(0.05, 20.0), st.floats(1.0, 1000.0)
bg_nbds = st.builds(BgNbd, shape, scale, shape, shape)
pareto_nbds = st.builds(ParetoNbd, shape, scale, shape, scale)


@st.composite
def customers(draw: st.DrawFn) -> Summary:
    age = draw(st.floats(0.0, 3000.0))
    frequency = draw(st.integers(0, 2000)) if age > 0 else 0
    recency = age * draw(st.floats(0.0, 1.0)) if frequency else 0.0
    return customer(frequency, recency, age)


@given(model=bg_nbds | pareto_nbds, who=customers(), days=st.floats(0.0, 2000.0), more=st.floats(0.0, 2000.0))
def test_chances_are_chances_and_grow_with_the_horizon(
    model: BgNbd | ParetoNbd, who: Summary, days: float, more: float
) -> None:
    alive, soon, later = model.p_alive(who), model.p_any_purchase(who, days), model.p_any_purchase(who, days + more)
    assert 0 <= soon <= later * (1 + 1e-5) + 1e-12
    assert later <= alive * (1 + 1e-5)
    assert alive <= 1
    assert soon <= model.expected_purchases(who, days) * (1 + 1e-5) + 1e-9  # a chance is at most an expectation
    assert model.expected_purchases(who, days) <= model.expected_purchases(who, days + more) * (1 + 1e-5) + 1e-9


@given(model=bg_nbds | pareto_nbds, who=customers())
def test_nobody_buys_in_no_time(model: BgNbd | ParetoNbd, who: Summary) -> None:
    assert model.expected_purchases(who, 0.0) == pytest.approx(0.0, abs=1e-12)
    assert model.p_any_purchase(who, 0.0) == pytest.approx(0.0, abs=1e-12)


@given(model=pareto_nbds, who=customers(), silence=st.floats(0.0, 1000.0))
def test_silence_makes_it_less_likely_that_a_customer_is_still_one(
    model: ParetoNbd, who: Summary, silence: float
) -> None:
    later = Summary(who.frequency, who.recency, who.age + silence)
    assert model.p_alive(later) <= model.p_alive(who) + 1e-6


@given(model=bg_nbds | pareto_nbds, who=customers(), days=st.floats(0.0, 1000.0), unit=st.floats(0.02, 50.0))
def test_the_unit_of_time_does_not_matter(model: BgNbd | ParetoNbd, who: Summary, days: float, unit: float) -> None:
    times = {name: getattr(model, name) * unit for name in ("alpha", "beta") if hasattr(model, name)}
    rescaled = type(model).from_json(model.to_json() | times)
    same = Summary(who.frequency, who.recency * unit, np.maximum(who.age, who.recency) * unit)
    assert rescaled.p_alive(same) == pytest.approx(model.p_alive(who), rel=1e-6, abs=1e-9)
    assert rescaled.p_any_purchase(same, days * unit) == pytest.approx(
        model.p_any_purchase(who, days), rel=1e-6, abs=1e-9
    )
    assert rescaled.expected_purchases(same, days * unit) == pytest.approx(
        model.expected_purchases(who, days), rel=1e-6, abs=1e-9
    )


@given(
    p=st.floats(0.1, 50),
    q=st.floats(1.1, 50),
    gamma=st.floats(0.01, 1e4),
    n=st.integers(1, 1000),
    mean=st.floats(0.0, 1e6),
)
def test_expected_spend_lies_between_the_customers_mean_and_everybodys(
    p: float, q: float, gamma: float, n: int, mean: float
) -> None:
    everybody = p * gamma / (q - 1)
    expected = float(GammaGamma(p, q, gamma).expected_spend(n, mean)[0])
    assert min(mean, everybody) * (1 - 1e-9) <= expected <= max(mean, everybody) * (1 + 1e-9)


@FITS
@pytest.mark.parametrize("unit", [1 / 24, 7.0, 86_400.0])
def test_a_fit_in_another_unit_of_time_is_the_same_fit(fit: Fit, unit: float) -> None:
    lives = live_pareto_nbd(
        ParetoNbd(0.6, 30.0, 0.7, 90.0), np.repeat([100.0, 200.0, 300.0, 400.0], 200), 100.0, seed=1
    )
    seen = lives.summary
    rescaled = Summary(seen.frequency, seen.recency * unit, seen.age * unit)
    predicted = fit(seen).expected_purchases(seen, 100.0)
    assert fit(rescaled).expected_purchases(rescaled, 100.0 * unit) == pytest.approx(predicted, rel=1e-3)


@FITS
def test_the_order_of_customers_does_not_change_a_fit(fit: Fit) -> None:
    seen = live_pareto_nbd(PARETO_NBD, np.repeat([90.0, 180.0, 270.0], 300), 1.0, seed=2).summary
    shuffled = np.random.default_rng(0).permutation(len(seen))
    assert fit(Summary(seen.frequency[shuffled], seen.recency[shuffled], seen.age[shuffled])) == fit(seen)


@PURCHASE_MODELS
def test_each_customer_may_have_their_own_horizon(model: BgNbd | ParetoNbd) -> None:
    days = np.linspace(0.0, 300.0, len(HISTORIES))
    for question in (model.expected_purchases, model.p_any_purchase):
        one_by_one = [
            question(customer(x, t_x, T), float(h))[0]
            for x, t_x, T, h in zip(HISTORIES.frequency, HISTORIES.recency, HISTORIES.age, days, strict=True)
        ]
        assert question(HISTORIES, days) == pytest.approx(one_by_one, rel=1e-12)


@PURCHASE_MODELS
def test_no_customers_get_no_predictions(model: BgNbd | ParetoNbd) -> None:
    nobody = Summary(np.array([]), np.array([]), np.array([]))
    assert model.p_alive(nobody).shape == (0,)
    assert model.p_any_purchase(nobody, 90).shape == (0,)
    assert model.expected_purchases(nobody, 90).shape == (0,)


@pytest.mark.parametrize("model", [BG_NBD, PARETO_NBD, GammaGamma(6.25, 3.74, 15.44, converged=False, note="why")])
def test_a_saved_model_comes_back_equal(model: BgNbd | ParetoNbd | GammaGamma) -> None:
    assert type(model).from_json(json.loads(json.dumps(model.to_json()))) == model


# --- Merging histories -----------------------------------------------------------------------------------------------


@FITS
def test_merging_histories_that_nearly_agree_hardly_moves_the_fit(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    age = np.random.default_rng(9).uniform(1, 600, 30_000)
    seen = live_pareto_nbd(ParetoNbd(0.8, 20.0, 0.7, 90.0), age, 100.0, seed=4).summary
    exact = fit(seen).expected_purchases(seen, 100.0)
    monkeypatch.setattr("fedelta.models.btyd.fits.MOST_ROWS", 10_000)
    assert len(Condensed.of(seen).summary) > 20_000
    merged = fit(seen).expected_purchases(seen, 100.0)
    assert merged == pytest.approx(exact, rel=0.02, abs=1e-4)
    assert merged.sum() == pytest.approx(exact.sum(), rel=1e-3)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_merging_loses_no_customer_no_purchase_and_no_day(seed: int) -> None:
    age = np.random.default_rng(seed).uniform(0, 600, 3_000)
    seen = live_pareto_nbd(ParetoNbd(0.8, 20.0, 0.7, 90.0), age, 100.0, seed=seed).summary
    rows = Condensed.of(seen).merged(1_000)
    assert len(rows.summary) <= 1_000
    assert rows.customers.sum() == len(seen)
    for name in ("frequency", "recency", "age"):
        assert rows.customers @ getattr(rows.summary, name) == pytest.approx(getattr(seen, name).sum())
    assert rows.customers[rows.summary.frequency == 0].sum() == (seen.frequency == 0).sum()


# --- Fits that cannot know better ------------------------------------------------------------------------------------

POOR_DATA = {
    "all bought once": histories(np.zeros(500), np.zeros(500), np.full(500, 200.0)),
    "one customer, once": histories([0], [0], [200]),
    "one customer, often": histories([12], [180], [200]),
    "all joined today": histories(np.zeros(30), np.zeros(30), np.zeros(30)),
    "identical": histories(np.full(100, 5), np.full(100, 90), np.full(100, 100)),
    "huge counts": histories([90_000, 80_000, 0, 1], [999, 1000, 0, 1], [1000, 1000, 1000, 1000]),
    "all bought today": histories([1, 2, 3], [50, 60, 70], [50, 60, 70]),
    "all left long ago": histories(np.full(200, 3), np.full(200, 1.0), np.full(200, 5000.0)),
    "a millennium": histories([1, 0, 4], [1e5, 0, 2e5], [4e5, 4e5, 4e5]),
    "seconds": histories([1, 0, 4], [1e-5, 0, 2e-5], [4e-5, 4e-5, 4e-5]),
}


@FITS
@pytest.mark.parametrize("data", POOR_DATA)
def test_poor_data_still_give_a_model_with_sound_answers(fit: Fit, data: str) -> None:
    seen = POOR_DATA[data]
    model = fit(seen)
    assert model.converged == (model.note == "")
    for answer in (model.p_alive(seen), model.p_any_purchase(seen, 90.0)):
        assert ((answer >= 0) & (answer <= 1)).all()
    expected = model.expected_purchases(seen, 90.0)
    assert (np.isfinite(expected) & (expected >= 0)).all()
    assert np.isfinite(model.log_likelihood(seen)).all()


@FITS
@pytest.mark.parametrize("data", ["all bought once", "one customer, once", "all joined today", "identical"])
def test_a_fit_that_the_data_do_not_decide_says_so(fit: Fit, data: str) -> None:
    model = fit(POOR_DATA[data])
    assert not model.converged
    assert "do not determine" in model.note


@FITS
def test_customers_who_all_bought_once_are_not_expected_back(fit: Fit) -> None:
    seen = POOR_DATA["all bought once"]
    assert fit(seen).p_any_purchase(seen, 200.0).max() < 0.02


@pytest.mark.parametrize(
    ("n_orders", "mean_spend"),
    [([1], [20.0]), ([3] * 50, [10.0] * 50), ([1, 100_000], [0.01, 1e7]), ([0, 2, 2], [math.nan, 0.0, 30.0])],
    ids=["one order", "all equal", "huge", "free order"],
)
def test_poor_spend_still_gives_a_model_with_sound_answers(n_orders: list[int], mean_spend: list[float]) -> None:
    model = fit_gamma_gamma(n_orders, mean_spend)
    expected = model.expected_spend(n_orders, mean_spend)
    assert (np.isfinite(expected) & (expected > 0)).all()
    assert not model.converged


@FITS
def test_nobody_to_learn_from_is_a_clear_error(fit: Fit) -> None:
    with pytest.raises(NoCustomers, match="at least one customer"):
        fit(histories([], [], []))


def test_no_spend_to_learn_from_is_a_clear_error() -> None:
    with pytest.raises(NoCustomers, match="more than 0"):
        fit_gamma_gamma([0, 1], [0.0, 0.0])


@pytest.mark.parametrize(
    ("frequency", "recency", "age", "says"),
    [
        ([1, 2], [5, 5], [9], "equal length"),
        ([1, math.nan], [5, 5], [9, 9], "finite numbers; 1 of 2 customers differ, the first in row 1"),
        ([-1], [0], [9], "at least 0"),
        ([0.5], [2], [9], "whole purchase days"),
        ([0], [5], [9], "recency 0"),
        ([2], [10], [9], "recency of at most age"),
    ],
)
def test_an_impossible_history_is_a_clear_error(
    frequency: list[float], recency: list[float], age: list[float], says: str
) -> None:
    with pytest.raises(InvalidHistory, match=says):
        histories(frequency, recency, age)


@PURCHASE_MODELS
def test_an_impossible_horizon_is_a_clear_error(model: BgNbd | ParetoNbd) -> None:
    with pytest.raises(InvalidHistory, match="0 or more days"):
        model.p_any_purchase(HISTORIES, -1)
    with pytest.raises(InvalidHistory, match="one for each of 7 customers"):
        model.expected_purchases(HISTORIES, [1.0, 2.0])


def test_negative_spend_is_a_clear_error() -> None:
    with pytest.raises(InvalidHistory, match="1 of 2 customers differ, the first in row 1: 2 orders of -3"):
        fit_gamma_gamma([1, 2], [5.0, -3.0])
