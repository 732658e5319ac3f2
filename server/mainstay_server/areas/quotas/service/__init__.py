"""The rules of quotas: plans and periods, counting, warning, refusing, and what is told."""
