"""The use cases of a user's own inbox and preferences."""
