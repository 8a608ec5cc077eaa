"""How long a buy-till-you-die fit takes, beside a plain one: every row, textbook likelihood, numerical gradient.

    python benchmarks/btyd_fit.py [--customers 23570 1000000] [--plain-up-to 23570]

Customers are simulated from a Pareto/NBD, up to two years old, once with times in whole days (many histories are equal)
and once to the second (hardly any are).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

from fedelta.models.btyd.fits import BgNbd, ParetoNbd, Summary, fit_bg_nbd, fit_pareto_nbd
from fedelta.models.btyd.purchase_summary import Condensed

Floats = npt.NDArray[np.float64]
HORIZON = 90.0


def simulated(customers: int, *, whole_days: bool) -> Summary:
    """Histories of customers who joined evenly over two years."""
    rng = np.random.default_rng(7)
    age = rng.uniform(0, 730, customers)
    rate, death = rng.gamma(0.6, 1 / 60, customers), rng.exponential(1 / rng.gamma(0.7, 1 / 90, customers))
    seen = np.minimum(death, age)
    frequency = rng.poisson(rate * seen).astype(np.float64)
    recency = np.where(frequency > 0, seen * rng.random(customers) ** (1 / np.maximum(frequency, 1)), 0.0)
    if whole_days:
        frequency = np.minimum(frequency, np.ceil(recency))
        return Summary(frequency, np.ceil(recency), np.ceil(age))
    return Summary(frequency, recency, age)


def plain_bg_nbd(seen: Summary) -> Floats:
    """Parameters by minimising the textbook likelihood (Fader, Hardie & Lee 2005) over all rows."""
    x, t_x, T = seen.frequency, seen.recency, seen.age

    def cost(log_parameters: Floats) -> float:
        r, alpha, a, b = np.exp(log_parameters)
        first = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        second = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        alive = -(r + x) * np.log(alpha + T)
        dead = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
        return -float(np.mean(first + second + np.logaddexp(alive, np.where(x > 0, dead, -np.inf))))

    return plain_fit(cost, np.log([1.0, 30.0, 1.0, 1.0]))


def plain_pareto_nbd(seen: Summary) -> Floats:
    """Parameters by minimising the hypergeometric likelihood (Fader & Hardie 2005) over all rows."""
    x, t_x, T = seen.frequency, seen.recency, seen.age

    def cost(log_parameters: Floats) -> float:
        r, alpha, s, beta = np.exp(log_parameters)
        larger, gap, second = (alpha, alpha - beta, s + 1) if alpha >= beta else (beta, beta - alpha, r + x)
        k = r + s + x

        def log_part(t: Floats) -> Floats:
            part: Floats = np.log(hyp2f1(k, second, k + 1, gap / (larger + t))) - k * np.log(larger + t)
            return part

        near, far = log_part(t_x), log_part(T)
        log_dead = np.log(s / k) + near + np.log(np.maximum(-np.expm1(far - near), 1e-300))
        alive = -(r + x) * np.log(alpha + T) - s * np.log(beta + T)
        value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.logaddexp(alive, log_dead)
        return -float(np.mean(value))

    return plain_fit(cost, np.log([1.0, 30.0, 1.0, 30.0]))


def plain_fit(cost: Callable[[Floats], float], start: Floats) -> Floats:
    """One start, gradient by differences."""
    found: Floats = np.exp(minimize(cost, start, method="BFGS", options={"gtol": 1e-6}).x)
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print one line per model, resolution of time and number of customers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[23_570, 1_000_000])
    parser.add_argument("--plain-up-to", type=int, default=23_570, help="largest number of customers for the plain fit")
    options = parser.parse_args()
    print(f"{'model':10} {'times':6} {'customers':>9} {'distinct':>9} {'fit s':>7} {'plain s':>8} {'ratio':>6} "
          f"{'differ':>8} {'predict s':>9}")  # fmt: skip
    for customers in options.customers:
        for whole_days in (True, False):
            seen = simulated(customers, whole_days=whole_days)
            distinct = len(Condensed.of(seen).summary)
            for fit, plain in ((fit_bg_nbd, plain_bg_nbd), (fit_pareto_nbd, plain_pareto_nbd)):
                line(fit, plain if customers <= options.plain_up_to else None, seen, distinct, whole_days)


def line(
    fit: Callable[[Summary], BgNbd | ParetoNbd],
    plain: Callable[[Summary], Floats] | None,
    seen: Summary,
    distinct: int,
    whole_days: bool,
) -> None:
    """Time a fit, its predictions and perhaps a plain fit; ``differ`` is the largest log-ratio of a parameter."""
    models: list[BgNbd | ParetoNbd] = []
    took = seconds(lambda: models.append(fit(seen)))
    model = models[0]
    predict = seconds(
        lambda: (model.p_alive(seen), model.p_any_purchase(seen, HORIZON), model.expected_purchases(seen, HORIZON))
    )
    versus = f"{'-':>8} {'-':>6} {'-':>8}"
    if plain is not None:
        found: list[Floats] = []
        slow = seconds(lambda: found.append(plain(seen)))
        saved = model.to_json()
        names = ("r", "alpha", "a", "b") if isinstance(model, BgNbd) else ("r", "alpha", "s", "beta")
        differ = np.abs(np.log(found[0] / np.array([float(saved[name]) for name in names]))).max()
        versus = f"{slow:8.2f} {slow / took:6.1f} {differ:8.1e}"
    times = "days" if whole_days else "exact"
    print(
        f"{type(model).__name__:10} {times:6} {len(seen):9,} {distinct:9,} {took:7.2f} {versus} {predict:9.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
