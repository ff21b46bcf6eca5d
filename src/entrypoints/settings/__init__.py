"""Settings: declared, read from environment and command line, and checked before anything starts."""
