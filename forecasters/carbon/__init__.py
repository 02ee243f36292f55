"""Carbon intensity: sources, fallback order and forecasts."""
