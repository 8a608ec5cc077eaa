"""``fedelta promote``, ``rollback`` and ``promotions``: a person moves the champion and says why; the log remembers."""

import getpass
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import bundle_hash
from fedelta.pipeline import paths
from fedelta.pipeline.params import load_params
from fedelta.pipeline.registry.promotion_log import Decision, Outcome, champion_at, champions
from fedelta.pipeline.registry.tracking import tracking

if TYPE_CHECKING:
    from fedelta.pipeline.registry.mlflow_store import Registered, Store


class CannotPromote(FedeltaError):
    """There is no such version, nothing to go back to, no reason given, or no such date."""


def promote(version: str | None, because: str) -> None:
    """Make a version champion whatever the gate's verdict: the one named, or the challenger."""
    reason = _reason(because)
    with tracking(load_params().source) as store:
        chosen = _version(store, version)
        champion = store.holder("champion")
        if champion and champion.number == chosen.number:
            raise CannotPromote(f"Version {chosen.number} is champion already. `fedelta promotions` tells since when.")
        _decide(store, "promoted", chosen, champion=chosen, previous=champion, because=reason)
        was = f", version {champion.number} is previous" if champion else ""
        version_text = f"{store.model} version {chosen.number} (bundle {chosen.bundle}) is champion"
        print(f"promote: {version_text}{was}.{_scores(chosen)}")


def rollback(because: str) -> None:
    """Bring back the champion before the present one, by the log; twice goes back twice."""
    reason = _reason(because)
    with tracking(load_params().source) as store:
        champion = store.holder("champion")
        if champion is None:
            raise CannotPromote(_no_champion(store.decisions.read()))
        target, beneath = _before(store, champion)
        _decide(store, "rolled back", champion, champion=target, previous=beneath, because=reason)
        print(
            f"rollback: {store.model} version {target.number} (bundle {target.bundle}) is champion again, version "
            f"{champion.number} is not, and the gate will not promote it.{_scores(target)}"
        )


def promotions(at: str | None = None, *, as_json: bool = False) -> None:
    """Print the log, or who was champion at an instant: ISO 8601, UTC unless it says otherwise; a date is its start."""
    with tracking(load_params().source) as store:
        everything, decisions, holder = store.decisions.everything(), store.decisions.read(), store.holder("champion")
    if as_json:
        shown = [_champion_row(everything, at)] if at is not None else everything
        log = [{**vars(held), "at": held.at.isoformat() if held.at else None} for held in shown if held]
        print(json.dumps({"champion": holder.number if holder else None, "log": log}, indent=1, ensure_ascii=False))
        return
    if at is not None:
        print(_champion_at(everything, at))
        return
    for decision in everything:
        print(_line(decision, "" if decision in decisions else f" ({store.model} was deleted since, and made anew)"))
    if holder is None:
        print(_no_champion(decisions))
    elif (row := champions(decisions))[-1:] != [holder.number]:
        logged = f"version {row[-1]}" if row else "none"
        print(f"The champion is version {holder.number}, by the log {logged}: it was moved by hand, outside this log.")


def _no_champion(decisions: Sequence[Decision]) -> str:
    if row := champions(decisions):
        return (
            f"There is no champion: by the log it is version {row[-1]}, but the alias was taken away in MLflow. "
            "`fedelta promote VERSION --because REASON` gives it again."
        )
    return "There is no champion. `fedelta track` makes the first version champion."


def _before(store: "Store", champion: "Registered") -> tuple["Registered", "Registered | None"]:
    """The version to go back to, and the one before it."""
    row = champions(store.decisions.read())
    if row[-1:] == [champion.number]:
        row.pop()
    elif not row and (held := store.holder("previous")):  # neither was decided through the log
        row = [held.number]
    found = [held for number in row[-2:] if number != champion.number and (held := store.version(number))]
    if not found:
        raise CannotPromote(f"Version {champion.number} is the first champion: there is none to go back to.")
    return found[-1], found[-2] if len(found) > 1 else None


def _version(store: "Store", number: str | None) -> "Registered":
    if number is None:
        if (challenger := store.holder("challenger")) is None:
            raise CannotPromote("No version is registered yet. Run `fedelta track` first.")
        return challenger
    if (found := store.version(number)) is None:
        raise CannotPromote(
            f"{store.model} has no version {number}. `mlflow ui` shows them; `fedelta track` registers one."
        )
    return found


def _decide(
    store: "Store",
    outcome: Outcome,
    version: "Registered",
    *,
    champion: "Registered",
    previous: "Registered | None",
    because: str,
) -> None:
    store.decisions.decide(
        Decision(
            outcome=outcome,
            version=version.number,
            bundle=version.bundle,
            champion=champion.number,
            champion_bundle=champion.bundle,
            previous=previous.number if previous else None,
            because=because,
            by=_user(),
        )
    )


def _instant(at: str) -> datetime:
    try:
        instant = datetime.fromisoformat(at)
    except ValueError:
        raise CannotPromote(f"{at!r} is no date. Write 2026-01-31, or 2026-01-31T12:00 (UTC).") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _champion_row(decisions: Sequence[Decision], at: str) -> Decision | None:
    return champion_at(decisions, _instant(at))


def _champion_at(decisions: Sequence[Decision], at: str) -> str:
    instant = _instant(at)
    moment = f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if (decision := champion_at(decisions, instant)) is None:
        return f"At {moment} there was no champion."
    return (
        f"At {moment} version {decision.champion} (bundle {decision.champion_bundle}) was champion: {_line(decision)}"
    )


def _line(decision: Decision, since: str = "") -> str:
    at = f"{decision.at:%Y-%m-%d %H:%M:%S}" if decision.at else "now"
    now = f", champion {decision.champion}" if decision.outcome == "rolled back" else ""
    return f"{at} version {decision.version} {decision.outcome}{now}, by {decision.by}: {decision.because}{since}"


def _scores(champion: "Registered") -> str:
    """What is to be done for the scores to be the champion's; nothing if they are."""
    present = bundle_hash(paths.BUNDLE) if paths.BUNDLE.is_dir() else None
    if present == champion.bundle:
        return ""
    return (
        f" The scores are still of bundle {present}, as {paths.BUNDLE} is: to score with the champion, check out the "
        "commit that its run names, then `dvc checkout`."
    )


def _reason(because: str) -> str:
    if not (reason := " ".join(because.split())):
        raise CannotPromote("Say why, for whoever reads the log: --because 'fewer false alarms in May'.")
    return reason


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without users
        return "unknown"
