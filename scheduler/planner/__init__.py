"""Plans: a snapshot of jobs, forecasts and capacity becomes a plan. Pure."""
