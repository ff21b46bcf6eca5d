"""The command `herald` and its subcommands."""
