"""Statements that differ between PostgreSQL and SQLite."""
