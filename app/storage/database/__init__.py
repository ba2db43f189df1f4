"""The database itself: reading, the one writer, the schema, copies, and the key of secrets."""
