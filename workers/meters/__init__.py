"""Meters: one module a sensor, each an adapter of the port `carbonq.domain.ports.Meter`."""
