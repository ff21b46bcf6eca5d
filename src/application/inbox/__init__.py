"""A user's own inbox and preferences."""
