"""Verifies JSON Web Tokens with PyJWT."""
