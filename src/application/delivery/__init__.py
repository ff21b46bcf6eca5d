"""Deliveries: sending them through outbound channels, and the delivery log."""
