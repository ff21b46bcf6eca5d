"""Live connections: the streams that a client may follow, opening its session, and executing its commands."""
