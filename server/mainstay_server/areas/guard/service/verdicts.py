"""What this process decided since it was last stored."""

from .reporting import Tally

tally = Tally()
