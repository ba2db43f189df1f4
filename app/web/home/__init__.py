"""Is all well?  The first page, what needs you, alerts, the ledger, health and history."""
