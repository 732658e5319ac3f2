"""Shapes of the health checks: orders and results of probes, bodies and answers of the API."""
