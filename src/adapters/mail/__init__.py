"""The channel `email`: renders mails from templates, and sends them to a mail server or writes them to a folder."""
