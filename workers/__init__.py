"""Runs and measures."""
