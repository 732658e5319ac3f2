"""A real MariaDB for the tests of health checks."""

from tests.servers.mariadb import mariadb

__all__ = ["mariadb"]
