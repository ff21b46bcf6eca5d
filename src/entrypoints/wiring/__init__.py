"""Dependency injection: the providers that connect each port with its implementation."""
