"""Shared by the web adapters, without a web framework: sockets, handshakes, tokens, origins and hosts."""
