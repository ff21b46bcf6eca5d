"""A broker for tests whose events are the lines of a file. It needs a folder and a line in the registry (see
`__main__`)."""
