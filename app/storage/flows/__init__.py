"""Flows and their versions, and what starts them: triggers, addresses, polls, subscriptions."""
