"""Who brings a queued run to execution: this process, or several on one PostgreSQL."""
