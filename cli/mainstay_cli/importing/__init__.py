"""Importers: what another tool has, as a document of ours; each is one file, for no server."""
