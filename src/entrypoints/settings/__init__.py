"""Settings: their declarations, and the code that reads and checks them before anything starts."""
