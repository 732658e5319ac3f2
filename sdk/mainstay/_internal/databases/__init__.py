"""The parts of ``mainstay.sqlalchemy``; import from there."""
