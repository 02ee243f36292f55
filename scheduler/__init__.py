"""Decides: the queue, the planner, the service and the ledger."""
