"""Dependency injection (dishka): providers that implement the ports and construct the use cases and services."""
