"""Flows of other tools as drafts, and what stayed behind."""
