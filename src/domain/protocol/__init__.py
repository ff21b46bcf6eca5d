"""What clients read and write: envelopes of plain clients, objects and commands of `herald.v1`."""
