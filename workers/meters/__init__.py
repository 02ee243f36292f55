"""Meters: readings with provenance and uncertainty."""
