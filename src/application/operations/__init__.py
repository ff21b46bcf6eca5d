"""A node's lifecycle, its health, and retention."""
