"""DVC stage ``train_clv``: training rows in; lifetime-value model out."""

from models.bundle import save_clv
from models.clv import fit_clv
from pipeline import paths
from pipeline.panel import read_panel
from pipeline.params import load_params
from pipeline.train_churn import THREADS, training_facts
from pipeline.whole_files import whole


def main() -> None:
    """Train the project's lifetime-value model; a source without money gets a bundle that says so."""
    params = load_params()
    panel = read_panel(["train"]).of_role("train")
    model = fit_clv(panel, params.clv, horizon_days=params.horizon_days, lead_days=params.lead_days, threads=THREADS)
    with whole(paths.CLV_BUNDLE) as folder:
        save_clv(model, folder, {"training": training_facts(panel, params.churn.definition)})
    if model is None:
        print(
            "train_clv: no purchase in training carries an amount: no lifetime value is learned, it is null in scores"
        )
    else:
        print(
            f"train_clv: {len(panel):,} rows, {(panel.spend > 0).mean():.1%} spend in the horizon; BTYD as "
            f"{model.prior}; total scaled by {model.scale:.3f}"
        )
