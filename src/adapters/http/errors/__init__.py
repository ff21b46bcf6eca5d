"""Errors over HTTP: the catalogue of problems, and the exception handlers that respond with them."""
