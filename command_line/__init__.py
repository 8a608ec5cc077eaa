"""The commands of ``fedelta``, a module per heading of the help. A command imports what it needs when it runs."""

from fedelta.command_line import project, running, models, answers, service, access  # noqa: I001 - as the help lists them
from fedelta.command_line.group import SECTIONS, fedelta

__all__ = ["SECTIONS", "access", "answers", "fedelta", "models", "project", "running", "service"]
