"""WHAT a flow is: plain data and pure functions, without framework, database or network."""
