"""What is looked after: alerts and who is told, the days of the ledger, and what is deleted when."""
