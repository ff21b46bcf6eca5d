"""Code that does not depend on a web framework: serving WebSockets, handshakes, tokens, and the checks of origins and
hosts."""
