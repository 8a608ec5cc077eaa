"""The examples of the public docstrings run, and print what they say."""

import doctest
import importlib

import pytest

MODULES = {
    "fedelta.frames": 3,
    "fedelta.features.cutoffs": 1,
    "fedelta.features.kernel": 1,
    "fedelta.models.btyd.fits": 2,
    "fedelta.models.learning.calibration": 1,
    "fedelta.models.metrics.metrics": 1,
}


@pytest.mark.parametrize(("module", "examples"), MODULES.items())
def test_the_examples_of_a_module_print_what_they_say(module: str, examples: int):
    loaded = importlib.import_module(module)
    found = [test for test in doctest.DocTestFinder(exclude_empty=True).find(loaded) if test.examples]
    assert len(found) >= examples  # each of as many docstrings has one
    outcome = doctest.testmod(loaded)
    assert outcome.attempted
    assert outcome.failed == 0
