"""Values, units, time, ports and errors: the words that all of carbonq speaks. Pure."""
