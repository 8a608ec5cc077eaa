"""Whether every row is accounted for: rows in = valid + duplicate + out of scope + quarantined."""

from dataclasses import dataclass

from fedelta.features.errors import FedeltaError


class ReconciliationError(FedeltaError):
    """Rows were lost or made up on the way; the outputs are not to be trusted."""


@dataclass(frozen=True)
class Equation:
    """Where the rows of one table went. Each figure is counted on its own, none as the difference of others."""

    rows_in: int
    valid: int
    duplicate: int
    out_of_scope: int
    quarantined: int

    def __str__(self) -> str:
        return (
            f"{self.rows_in:,} rows in = {self.valid:,} valid + {self.duplicate:,} duplicate "
            f"+ {self.out_of_scope:,} out of scope + {self.quarantined:,} quarantined"
        )

    def check(self, table: str) -> None:
        """Raise ReconciliationError unless the equation of `table` holds."""
        accounted = self.valid + self.duplicate + self.out_of_scope + self.quarantined
        if accounted != self.rows_in:
            raise ReconciliationError(
                f"{table}: {self} does not hold: {abs(self.rows_in - accounted):,} rows "
                f"{'vanished' if accounted < self.rows_in else 'too many'}. Nothing was written. "
                "Run it again; if it stays, this is a defect to report."
            )
