"""Model health: what the reports of the run say, and a banner on every page where the monitor alarms."""

import re
from collections.abc import Callable

import orjson
import pytest
from desk_client import Desk
from desk_company import REPORTS

Visit = Callable[..., Desk]


@pytest.mark.parametrize("role", ["viewer", "agent", "manager", "admin"])
def test_everybody_sees_that_the_monitor_alarms_on_every_page(visit: Visit, role: str) -> None:
    desk = visit(role)
    for path in ("/desk", "/desk/customers", "/desk/base", "/desk/settings"):
        assert "The monitor found something out of the ordinary." in desk.get(path).text
    health = desk.get("/desk/health")
    assert health.status_code == 200
    assert "The monitor found" not in health.text


def test_checks_have_their_figures_and_the_alarm_is_in_words(visit: Visit) -> None:
    page = visit("manager", "it").get("/desk/health").text
    drift = orjson.loads((REPORTS / "drift.json").read_bytes())
    assert page.count("come al solito</span>") >= sum(check["alarm"] is False for check in drift["checks"])
    assert page.count("▲ allarme") == 1
    assert "Sono cambiate le variabili di cui il modello tiene conto?" in page


def test_figures_of_the_model_are_those_of_the_evaluation(visit: Visit) -> None:
    page = visit("viewer").get("/desk/health").text
    chosen = orjson.loads((REPORTS / "evaluation.json").read_bytes())["churn"]["chosen"]
    row = re.search(r'<tr class="chosen">.*?</tr>', page, re.DOTALL)
    assert row is not None
    assert f"<b>{chosen['auc']['value']:.3f}</b>" in row[0]
    assert f"<b>{chosen['log_loss']['value']:.4f}</b>" in row[0]


def test_what_did_not_come_names_its_command_and_promotions_are_listed(visit: Visit) -> None:
    page = visit("viewer").get("/desk/health").text
    assert "fedelta backtest --rolling 4" in page
    assert "log loss is significantly better" in page
    assert page.count("champion</span>") == 1
