"""Where the stages' files lie, relative to the project's folder."""

from pathlib import Path

PARAMS = Path("params.yaml")
SOURCES = Path("sources")

INTERACTIONS = Path("data/interactions")
CUSTOMERS = Path("data/customers.parquet")
DECLARED_LABELS = Path("data/declared_labels.parquet")  # what the company says of who left; empty without labels.sql
SOURCE_TREATMENTS = Path("data/treatments.parquet")  # those of the source; empty without treatments.sql
TREATMENTS = Path("treatments")  # beside data/: DVC asks for it, so git keeps it where it is empty
ERASED = Path("erased")  # beside data/ as well: keyed hashes of who was erased
QUARANTINE = Path("data/quarantine")
FEATURES = Path("data/features")
LABELS = Path("data/labels")
FEATURE_SHARES = Path("data/feature_shares")  # of both, by the machines that they are shared out among, until joined
UNFINISHED = Path("data/.unfinished")  # parts of them, while tasks of Spark write them
PRIOR = Path("data/prior.parquet")
VALUE = Path("data/value")  # features and labels at the cutoffs of value; empty where they are those of churn
VALUE_FEATURES = VALUE / "features"
VALUE_LABELS = VALUE / "labels"
VALUE_PRIOR = Path("data/value_prior.parquet")
BUNDLE = Path("data/bundle")
CHURN_BUNDLE = BUNDLE / "churn"
CHURN_DELIVERED = CHURN_BUNDLE / "delivered"  # learned from all that is known at the scoring cutoff
CHURN_EVALUATED = CHURN_BUNDLE / "evaluated"  # the same procedure at the evaluation cutoff; absent where there is none
CLV_BUNDLE = BUNDLE / "clv"
CLV_DELIVERED = CLV_BUNDLE / "delivered"
CLV_EVALUATED = CLV_BUNDLE / "evaluated"
NEXT_BUNDLE = BUNDLE / "next"
NEXT_DELIVERED = NEXT_BUNDLE / "delivered"
NEXT_EVALUATED = NEXT_BUNDLE / "evaluated"
BTYD_BUNDLE = BUNDLE / "btyd"
LEAVING_BUNDLE = BUNDLE / "leaving"
EXPERIENCE_BUNDLE = BUNDLE / "experience"  # what the indexes of experience are shrunk to
LOYALTY_BUNDLE = BUNDLE / "loyalty"
UPLIFT_BUNDLE = BUNDLE / "uplift"  # whether effects per customer may rank, and if so the model
PERSONAS_BUNDLE = BUNDLE / "personas"  # kept by DVC between runs: what the next run knows its personas by
EXPERIENCES = Path("data/experiences.parquet")
PILLARS = Path("data/pillars.parquet")
EVALUATION = Path("data/evaluation.parquet")
SCORES = Path("data/scores.parquet")
SCORING = Path("data/scoring")  # what a customer scored alone takes from the run besides the bundle
TRACKED = Path("data/tracked.json")  # that MLflow holds the bundle: not here in a new clone

RUN_LOCK = Path("data/.run.lock")  # of a stage
WHOLE_RUN_LOCK = Path("data/.whole_run.lock")  # of `fedelta run`, whose stages take the other

DATA_REPORT = Path("reports/data.json")
METRICS = Path("reports/metrics.json")  # the headline figures, for `dvc metrics`
EVALUATION_REPORT = Path("reports/evaluation.json")
EXPERIENCE_REPORT = Path("reports/experience.json")
LOYALTY_REPORT = Path("reports/loyalty.json")
SAVES_REPORT = Path("reports/saves.json")
FAIRNESS_REPORT = Path("reports/fairness.json")
LEAKAGE_REPORT = Path("reports/leakage.json")
DRIFT_REPORT = Path("reports/drift.json")
REPORT = Path("reports/report.html")
MODEL_CARD = Path("reports/model_card.md")
PLOTS = Path("reports/plots")
BACKTEST = Path("reports/backtest.json")


def measured_fit(bundle: Path) -> Path:
    """The fit of a model's bundle that its figures are of: the evaluated one, or where there is none the delivered."""
    evaluated = bundle / "evaluated"
    return evaluated if evaluated.is_dir() else bundle / "delivered"


def project_folder(start: Path) -> Path | None:
    """The nearest folder, from `start` upwards, that holds params.yaml; None if there is none."""
    return next((folder for folder in (start, *start.parents) if (folder / PARAMS).is_file()), None)
