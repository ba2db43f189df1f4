"""Processes that share one database: who is there, who performs what, and the queue."""
