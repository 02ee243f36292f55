"""Receipts become tables, JSON, CSV and HTML: pure renderers."""
