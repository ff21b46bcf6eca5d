"""Code that all web adapters share, independent of a web framework: WebSockets, handshakes, tokens, origins and
hosts."""
