"""One file a provider of carbon intensity."""
