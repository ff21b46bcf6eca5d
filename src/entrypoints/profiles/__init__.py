"""Profiles: the routes files that Herald ships, and the code that loads them or an operator's routes file."""
