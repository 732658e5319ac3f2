"""Which version of Mainstay this is."""

from importlib.metadata import version

VERSION = version("mainstay-server")
