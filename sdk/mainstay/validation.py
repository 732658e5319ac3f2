"""Check what is sent before the app's own code sees it: its size, its form, and its meaning."""

from mainstay._internal.guard.refusals import Fault
from mainstay._internal.validation.frameworks import validated
from mainstay._internal.validation.limits import Limits
from mainstay._internal.validation.refusing import Invalid
from mainstay._internal.validation.validating import validate, validate_query

__all__ = ["Fault", "Invalid", "Limits", "validate", "validate_query", "validated"]
