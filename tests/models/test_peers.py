"""Peers are those who bought about as often, and usual is what the middle one of them has."""

import numpy as np
import pandas as pd
import pytest

from fedelta.models.encoding import Encoding
from fedelta.models.peers import fit_peers, peers_of

READ = Encoding(("wait", "plan"), {"plan": ("tin", "gold")})


def rows(purchases: int, wait: list[float], times: int = 10) -> pd.DataFrame:
    """So many customers of each waiting time, all with so many purchases."""
    return pd.DataFrame({"purchase_count": purchases, "wait": wait * times, "plan": "tin"})


@pytest.mark.parametrize(
    ("purchases", "usual", "says"),
    [
        (0, 1.0, "customers who never bought"),
        (1, 11.0, "customers with 1 purchase"),
        (2, 21.0, "customers with 2 or 3 purchases"),
        (3, 21.0, "customers with 2 or 3 purchases"),
        (9, 41.0, "customers with 4 to 9 purchases"),
        (4_000, 101.0, "customers with 10 or more purchases"),
    ],
)
def test_a_customer_stands_beside_the_middle_of_those_who_bought_about_as_often(purchases, usual, says):
    table = pd.concat([rows(n, [0.0 + 10 * n, 1.0 + 10 * n, 9_000.0]) for n in (0, 1, 2, 4, 10)])
    (found,) = peers_of(fit_peers(table, READ), rows(purchases, [5.0], 1))
    assert found is not None
    assert (found.says, found.usual["wait"]) == (says, usual)


def test_of_too_few_peers_nothing_is_usual_and_all_customers_stand_in():
    table = pd.concat([rows(1, [3.0], 60), rows(5, [900.0], 19)])
    once, often = peers_of(fit_peers(table, READ), table.iloc[[0, -1]])
    assert once is not None
    assert often is not None
    assert (once.says, once.usual["wait"]) == ("customers with 1 purchase", 3)
    assert (often.says, often.usual["wait"]) == ("all customers", 3)


def test_what_most_peers_never_had_is_usual_to_be_lacking():
    (once,) = peers_of(fit_peers(rows(1, [4.0, np.nan, np.nan]), READ), rows(1, [4.0], 1))
    (twice,) = peers_of(fit_peers(rows(2, [4.0, 6.0, np.nan]), READ), rows(2, [4.0], 1))
    assert once is not None
    assert twice is not None
    assert (once.usual["wait"], twice.usual["wait"]) == (None, 5)


def test_a_model_saved_without_peers_tells_of_none():
    assert peers_of((), rows(1, [4.0], 2)) == [None, None]
