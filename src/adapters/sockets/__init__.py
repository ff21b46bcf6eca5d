"""WebSockets and event streams, served by Litestar. Each connection sends the frames of one session to its client."""
