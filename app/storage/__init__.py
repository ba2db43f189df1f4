"""WHERE it is kept: tables, one module of queries per noun, the group-committing writer, secrets."""
