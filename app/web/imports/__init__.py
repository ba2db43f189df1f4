"""Flows of other tools as drafts, and the gaps an import left."""
