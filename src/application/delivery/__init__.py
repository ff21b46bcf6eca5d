"""Sends deliveries through outbound channels such as e-mail, and reads the log of deliveries and attempts."""
