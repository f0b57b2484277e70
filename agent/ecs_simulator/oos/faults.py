"""What can be wrong with a template, and what can go wrong in a task."""

from __future__ import annotations


class TemplateFault(ValueError):
    """A template, or a value for one of its parameters, breaks the service's rules."""


class TaskFault(Exception):
    """A task failed; the text becomes its StatusMessage."""
