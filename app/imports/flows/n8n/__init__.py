"""Exports of n8n, as drafts and a report."""
