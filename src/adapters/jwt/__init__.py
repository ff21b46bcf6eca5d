"""Verifies the JSON Web Tokens by which clients identify themselves, with PyJWT."""
