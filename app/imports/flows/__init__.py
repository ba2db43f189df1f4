"""Flows from other tools: a document becomes drafts in our model, and a report of what stayed behind."""
