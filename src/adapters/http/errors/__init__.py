"""Errors over HTTP: the catalogue of problems, and the handlers that answer with them."""
