"""Everything kept in PostgreSQL, or in a file by SQLite."""
