"""What MLflow's errors mean for whoever runs fedelta: one line each, with what to do. No MLflow here."""

import re

from fedelta.pipeline.registry.address import unreachable, without_password

_NO_ANSWER = r"failed with (timeout )?exception|Max retries exceeded"
_CASES = (
    (
        r"UNAUTHENTICATED|CUSTOMER_UNAUTHORIZED|error code 401|401 Client Error",
        "MLflow at {place} wants to know who asks (401). Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "MLFLOW_TRACKING_TOKEN, then run the command again.",
    ),
    (
        r"PERMISSION_DENIED|error code 403|403 Client Error",
        "MLflow at {place} does not allow this (403): {why} Ask its owner for the right to write there.",
    ),
    (
        r"ENDPOINT_NOT_FOUND|error code 404|404 Client Error|valid JSON format",
        "There is a web server at {place}, but no MLflow. MLFLOW_TRACKING_URI is the address of MLflow's start page, "
        "such as http://127.0.0.1:5000, without what follows it in the browser.",
    ),
    (
        r"No space left|database or disk is full|disk I/O error|File too large",
        "MLflow at {place} has no room: {why} Make room, then run the command again: it completes what is missing.",
    ),
    (
        r"readonly database|unable to open database file|Permission denied|Read-only file system",
        "MLflow at {place} cannot write: {why} Grant write access to the file and its folder, then run the command "
        "again.",
    ),
)


def explained(error: Exception, uri: str) -> str:
    """One line on what went wrong with MLflow at a tracking URI, and what to do."""
    text = f"{getattr(error, 'error_code', '')} {error}"
    why = without_password(str(error).strip().split("\n", maxsplit=1)[0][:500])
    if re.search(_NO_ANSWER, text):
        return unreachable(uri, why)
    place = without_password(uri)
    for pattern, words in _CASES:
        if re.search(pattern, text):
            return words.format(place=place, why=why)
    return f"MLflow at {place} failed: {why} Check MLFLOW_TRACKING_URI, then run the command again."
