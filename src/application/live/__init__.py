"""Opening sessions and handling what their clients send."""
