"""WebSockets and event streams, served by Litestar: they connect clients to their sessions."""
