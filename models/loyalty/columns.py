"""The columns of a feature table that loyalty and personas are learned from and described by."""

from fedelta.features.contract import CHANNELS
from fedelta.features.kernel import KEYS
from fedelta.models.loyalty.evidence import BEHAVIOUR, CHANCES
from fedelta.models.loyalty.model import SIGNALS
from fedelta.models.loyalty.persona_cards import DONE
from fedelta.models.loyalty.persona_traits import TRAITS
from fedelta.models.panel import PRIOR_FEATURES

COLUMNS = frozenset(
    {
        *KEYS,
        *PRIOR_FEATURES,
        *BEHAVIOUR,
        *CHANCES,
        *(name for signal in SIGNALS.values() for name in (signal.count, signal.value) if name),
        *(name for trait in TRAITS for name in (trait.column, trait.evidence) if name),
        *(f"{kind}_count_365d" for kind in DONE),
        *(f"{name}_share_365d" for name in CHANNELS),
        "activity_day_count",  # tells that activity is declared
        "interaction_count",
        "mean_purchase_gap_days",
    }
)
