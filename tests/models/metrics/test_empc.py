import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from fedelta.models.metrics.empc import BadCampaignError, Campaign, expected_maximum_profit, roc_hull
from fedelta.models.metrics.ranking import NotBinaryError, Ranked

law = settings(max_examples=60, derandomize=True)
SCORES = [0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.25, 0.2, 0.1]
CHURNED = [1, 0, 1, 1, 0, 0, 0, 1, 0, 0]


def by_numerical_integration(churned, score, campaign):
    """The definition: for each acceptance rate, the best cut of the ranking, found by trying them all."""
    churned, score = np.asarray(churned, float), np.asarray(score, float)
    cuts = [score >= cut for cut in np.unique(score)] + [np.zeros(score.size, bool)]
    churners = np.array([churned[cut].sum() for cut in cuts]) / score.size
    stayers = np.array([(1 - churned[cut]).sum() for cut in cuts]) / score.size
    law_of_acceptance = beta(campaign.alpha, campaign.beta)
    acceptance = law_of_acceptance.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]
    saved = (acceptance * (campaign.clv - campaign.incentive) - campaign.contact) * churners
    profit = saved - (campaign.incentive + campaign.contact) * stayers
    best = profit.argmax(axis=1)
    return profit.max(axis=1).mean(), (churners + stayers)[best].mean()


def test_ten_customers_earn_the_published_profit():
    assert expected_maximum_profit(CHURNED, SCORES).per_customer == pytest.approx(18.07156, abs=5e-6)


def test_a_perfect_order_of_the_telco_customers_reaches_the_ceiling():
    churned = np.arange(7_043) < 1_869
    assert expected_maximum_profit(churned, churned).per_customer == pytest.approx(14.86071, abs=5e-6)


def test_a_score_that_says_nothing_earns_the_floor():
    churned = np.arange(7_043) < 1_869
    assert expected_maximum_profit(churned, np.zeros(7_043)).per_customer == pytest.approx(6.906, abs=5e-4)


@pytest.mark.parametrize("campaign", [Campaign(), Campaign(2, 3, 120, 30, 4), Campaign(clv=40), Campaign(contact=0)])
def test_the_closed_form_is_the_definition_integrated(campaign):
    rng = np.random.default_rng(5)
    score = rng.integers(0, 12, size=80) / 12
    churned = rng.random(80) < score * 0.7
    profit = expected_maximum_profit(churned, score, campaign=campaign)
    assert profit == pytest.approx(by_numerical_integration(churned, score, campaign), rel=2e-3, abs=1e-3)


def test_when_the_offer_saves_more_than_anyone_costs_everybody_is_targeted():
    free = Campaign(clv=1e6, incentive=0, contact=0.01)
    assert expected_maximum_profit([1, 0, 0, 1], [0.9, 0.6, 0.5, 0.2], campaign=free).fraction == pytest.approx(1)


def test_nobody_is_asked_below_the_last_churner():
    free = Campaign(clv=1e6, incentive=0, contact=0.01)
    assert expected_maximum_profit(CHURNED, SCORES, campaign=free).fraction == pytest.approx(0.8)


def test_when_no_acceptance_pays_nobody_is_targeted():
    dear = Campaign(clv=20, incentive=10, contact=50)
    assert expected_maximum_profit(CHURNED, SCORES, campaign=dear) == (0.0, 0.0)


@pytest.mark.parametrize("churned", [[0, 0, 0], [1, 1, 1]])
def test_one_class_has_no_campaign_to_judge(churned):
    assert np.isnan(expected_maximum_profit(churned, [0.1, 0.2, 0.3])).all()


def test_only_churn_labels_are_judged():
    with pytest.raises(NotBinaryError, match="0 or 1"):
        expected_maximum_profit([0, 12.5], [0.1, 0.2])


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"incentive": 200}, {"contact": -1}, {"incentive": -1}])
def test_impossible_economics_are_refused(wrong):
    with pytest.raises(BadCampaignError, match="correct the campaign"):
        Campaign(**wrong)


rankings = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 3)), min_size=2, max_size=40).filter(
    lambda rows: {churned for churned, _, weight in rows if weight} == {False, True}
)


@law
@given(rankings)
def test_the_hull_loses_nobody_and_gets_ever_poorer_in_churners(rows):
    churned, score, weight = (np.array(column, float) for column in zip(*rows, strict=True))
    churners, stayers = roc_hull(Ranked.of(churned, score).sample(weight))
    assert churners.sum() == (churned * weight).sum()
    assert (churners + stayers).sum() == weight.sum()
    assert (np.diff(churners / (churners + stayers)) < 1e-12).all()


@law
@given(rankings)
def test_profit_lies_between_that_of_luck_and_that_of_a_perfect_order(rows):
    churned, score, weight = (np.array(column, float) for column in zip(*rows, strict=True))
    luck, score_, perfect = (
        expected_maximum_profit(churned, by, weight).per_customer for by in (np.zeros(churned.size), score, churned)
    )
    assert luck - 1e-9 <= score_ <= perfect + 1e-9


@law
@given(rankings)
def test_a_weight_of_two_is_the_customer_repeated(rows):
    churned, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    repeated = expected_maximum_profit(np.repeat(churned, weight), np.repeat(score, weight))
    assert expected_maximum_profit(churned, score, weight) == pytest.approx(repeated)
