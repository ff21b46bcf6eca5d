"""ASGI middleware that every HTTP request passes through before Litestar routes it."""
