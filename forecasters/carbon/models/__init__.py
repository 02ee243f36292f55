"""Models of carbon intensity: pure, in NumPy arrays. Units are g/kWh throughout; times are UTC."""
