"""Sends scores that changed to a CRM, from the folder that `fedelta export-scores --to FOLDER` keeps.

    python crm_sync.py salesforce FOLDER contacts.csv   # a file for `sf data upsert bulk`
    python crm_sync.py hubspot FOLDER                   # upserts by the API; the token is in HUBSPOT_TOKEN

``FOLDER/NAME.sent`` holds up to which ``updated_at`` a CRM has everything. It is written last: what was sent twice
because a run died is an upsert of the same values.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

# The column of a score, the field in Salesforce, the property in HubSpot. The first one is the external id.
FIELDS = (
    ("customer_id", "Fedelta_Customer_Id__c", "fedelta_customer_id"),
    ("risk_tier", "Fedelta_Risk_Tier__c", "fedelta_risk_tier"),
    ("churn_score", "Fedelta_Churn_Score__c", "fedelta_churn_score"),
    ("clv_expected", "Fedelta_CLV__c", "fedelta_clv"),
    ("value_at_risk", "Fedelta_Value_At_Risk__c", "fedelta_value_at_risk"),
    ("loyalty_class", "Fedelta_Loyalty__c", "fedelta_loyalty"),
    ("action", "Fedelta_Action__c", "fedelta_action"),
    ("contact_on", "Fedelta_Contact_On__c", "fedelta_contact_on"),
    ("held_out", "Fedelta_Control_Group__c", "fedelta_control_group"),
    ("suppression_reason", "Fedelta_Do_Not_Contact__c", "fedelta_do_not_contact"),
    ("reasons", "Fedelta_Reasons__c", "fedelta_reasons"),
    ("updated_at", "Fedelta_Updated_At__c", "fedelta_updated_at"),
)
HUBSPOT = "https://api.hubapi.com"
AT_ONCE = 100  # the most that HubSpot takes


def changed(folder: Path, crm: str) -> pl.DataFrame:
    """The rows that the CRM has not got yet, oldest first."""
    rows = pl.read_parquet(folder / "fedelta_scores.parquet").sort("updated_at", "customer_id")
    sent = folder / f"{crm}.sent"
    if sent.exists():
        rows = rows.filter(pl.col("updated_at") > datetime.fromisoformat(sent.read_text()))
    return rows


def note(folder: Path, crm: str, rows: pl.DataFrame) -> None:
    """Note up to where the CRM has everything."""
    if rows.height:
        (folder / f"{crm}.sent").write_text(rows["updated_at"][-1].astimezone(UTC).isoformat())


def salesforce(folder: Path, file: Path) -> int:
    """Write the changed rows as CSV of the Bulk API 2.0; #N/A empties a field there."""
    rows = changed(folder, "salesforce")
    named = rows.select(pl.col(column).alias(field) for column, field, _ in FIELDS)
    named.write_csv(file, null_value="#N/A", datetime_format="%Y-%m-%dT%H:%M:%S.%3fZ")
    note(folder, "salesforce", rows)
    return rows.height


def hubspot(folder: Path, token: str, address: str = HUBSPOT) -> int:
    """Upsert the changed rows as contacts, a hundred at a time."""
    rows = changed(folder, "hubspot")
    for inputs in batches(rows):
        request = urllib.request.Request(
            f"{address}/crm/v3/objects/contacts/batch/upsert",
            json.dumps({"inputs": inputs}).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30):  # an error is raised
            pass
    note(folder, "hubspot", rows)
    return rows.height


def batches(rows: pl.DataFrame) -> Iterator[list[dict[str, object]]]:
    """Inputs of HubSpot's batch upsert: an empty text empties a property."""
    for some in rows.iter_slices(AT_ONCE):
        yield [
            {
                "idProperty": FIELDS[0][2],
                "id": row["customer_id"],
                "properties": {name: text(row[column]) for column, _, name in FIELDS},
            }
            for row in some.to_dicts()
        ]


def text(value: object) -> str:
    """A value as HubSpot takes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["salesforce", folder, file]:
            print(f"{salesforce(Path(folder), Path(file)):,} rows in {file}")
        case ["hubspot", folder]:
            print(f"{hubspot(Path(folder), os.environ['HUBSPOT_TOKEN']):,} contacts sent")
        case _:
            sys.exit(__doc__)
