"""Error responses: the catalogue of problems, and the exception handlers that turn exceptions into responses."""
