"""A broker for tests: events are the lines of a file. A folder, and a line in the registry (see `__main__`)."""
