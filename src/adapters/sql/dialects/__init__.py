"""Statements that PostgreSQL and SQLite need in different forms."""
