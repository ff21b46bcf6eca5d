"""Servers for tests of input from outside."""

from tests.e2e.conftest import dev_server, listener, start_server, start_shared_server

__all__ = ["dev_server", "listener", "start_server", "start_shared_server"]
