"""Sockets and event streams, by Litestar: what connects browsers and programs to sessions."""
