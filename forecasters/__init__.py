"""Foresees: carbon intensity of the grid, energy and duration of jobs."""
