"""WHEN a flow runs: from an accepted event through its steps to an end that is on record."""
