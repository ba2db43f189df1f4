"""Blueprints of Make, as drafts and a report."""
