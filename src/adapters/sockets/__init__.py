"""WebSockets and event streams, by Litestar: the connections of clients to their sessions."""
