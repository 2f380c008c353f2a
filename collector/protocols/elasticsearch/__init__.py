"""Elasticsearch's way in: ``_bulk`` and single documents, as log shippers and loggers send them."""
