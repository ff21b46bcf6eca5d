"""Deliveries: sending what is owed through outbound channels, and the delivery log."""
