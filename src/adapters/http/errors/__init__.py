"""Error responses: the catalogue of problems (RFC 9457), and the handlers that convert exceptions to responses."""
