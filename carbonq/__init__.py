"""carbonq: run compute when the grid is clean, and measure what it used."""
