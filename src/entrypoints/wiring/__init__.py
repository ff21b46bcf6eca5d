"""The wiring of ports and their implementations."""
