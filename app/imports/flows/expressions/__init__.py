"""Expressions of other tools: read into a tree, and what each means here."""
