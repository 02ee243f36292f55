"""Energy and duration of a job before it runs."""
