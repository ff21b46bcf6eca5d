"""The messages of clients and server: envelopes for plain clients, objects and commands of `herald.v1`."""
