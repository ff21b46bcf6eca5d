"""The messages between clients and server: envelopes for plain clients; objects and commands of the protocol
`herald.v1`.
"""
