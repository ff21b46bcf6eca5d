"""What Herald tells monitoring systems and logs."""
