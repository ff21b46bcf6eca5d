"""The channel `email`: rendering mails from templates, and sending them to a mail server or writing them to a
folder.
"""
