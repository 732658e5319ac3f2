"""The parts of ``mainstay.cache``; import from there."""
