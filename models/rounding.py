"""Rounding, so that every processor gives the same figures.

The last digits of logarithms, exponentials and matrix products differ between processors, as NumPy, BLAS and the C
library choose their kernels by what they find; optimisers then stop at other last digits still. What such computations
hand on is rounded first, to digits that all processors share: parameters after a fit, columns of predictions, figures
of resamples. Additions, divisions and roots of numbers are the same everywhere and need none.

A value that lies within a processor's error of the edge between two rounded values still comes out differently. The
digits are chosen so that this is rare: with errors of 1e-15 and seven digits, for one value in ten million or so.
"""

from typing import overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FITTED = 7  # significant digits of a fitted parameter, whose optimum is found to ten or more
PREDICTED = 7  # significant digits of a prediction per customer
PROBABILITY = 7  # decimals of a probability
LOGARITHM = 6  # decimals of a logarithm that trees start from: it moves all that they learn
FIGURE, FINEST = 8, 9  # significant digits of a figure of merit, and its decimals at most: differences cancel digits

_TENS = np.array([float(f"1e{power}") for power in range(-300, 301)])


@overload
def significant(values: float, digits: int, decimals: int = ...) -> float: ...
@overload
def significant(values: Floats, digits: int, decimals: int = ...) -> Floats: ...
def significant(values: float | Floats, digits: int, decimals: int = 300) -> float | Floats:
    """Values rounded to so many significant digits, but to no more than ``decimals`` after the point.

    Parameters
    ----------
    values : float, or ndarray of any shape
        NaN and infinity stay.
    digits : int
        At least 1.

    Returns
    -------
    float, or ndarray of the same shape
    """
    given = np.asarray(values, np.float64)
    exponent = _TENS.searchsorted(np.abs(given), side="right") - 1 - 300  # 10**exponent <= |value|; exact
    places = np.minimum(digits - 1 - np.minimum(np.maximum(exponent, -290 + digits), 290), decimals)
    scale = _TENS[300 + np.abs(places)]
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.where(places >= 0, np.rint(given * scale) / scale, np.rint(given / scale) * scale)
    rounded = np.where(np.isfinite(rounded), rounded, given)
    return rounded if isinstance(values, np.ndarray) else float(rounded)


def probabilities(values: Floats) -> Floats:
    """Probabilities of any shape, rounded to seven decimals."""
    return np.asarray(np.round(values, PROBABILITY), np.float64)


def rounded_log(values: Floats) -> Floats:
    """Logarithms or log-odds of any shape, rounded to six decimals."""
    return np.asarray(np.round(values, LOGARITHM), np.float64)
