"""Boosters grow and predict side by side in one process."""

import subprocess
import sys

# Grows on sparse columns while others predict. LightGBM sizes a buffer by the process's number of threads as a data set
# begins and asks for that number again as it fills: were it raised in between, the process would end by a signal.
SIDE_BY_SIDE = """
import threading, time
import numpy as np
from fedelta.models.learning.boosting import fit_ensemble
from fedelta.models.encoding import Encoding
from fedelta.models.learning.settings import BoostingSettings

random = np.random.default_rng(1)
matrix = np.where(random.random((3000, 60)) < 0.05, random.random((3000, 60)), 0.0)
target = (matrix[:, 0] > 0).astype(np.float64)
encoding = Encoding(tuple(f"c{i}" for i in range(60)), {})
settings = BoostingSettings(num_iterations=1, seeds=1)
ensemble = fit_ensemble(matrix, target, encoding, settings, "binary", threads=1)
end = time.monotonic() + 8

def grow():
    while time.monotonic() < end:
        fit_ensemble(matrix, target, encoding, settings, "binary", threads=1)

def predict(method):
    while time.monotonic() < end:
        method(matrix[:50])

threads = [threading.Thread(target=grow)]
threads += [threading.Thread(target=predict, args=(m,)) for m in (ensemble.raw, ensemble.contributions)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("still here")
"""


def test_predicting_while_another_booster_grows_does_not_end_the_process() -> None:
    command = [sys.executable, "-c", SIDE_BY_SIDE]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout.strip()) == (0, "still here"), ran.stderr
