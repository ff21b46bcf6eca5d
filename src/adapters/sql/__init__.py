"""Storage in PostgreSQL or in an SQLite file."""
