"""What every test runs under."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does: waiting threads do not spin
settings.register_profile("any machine", deadline=None)  # laws hold at any speed
settings.load_profile("any machine")
