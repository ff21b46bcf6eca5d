"""Mail: what it says, filled from templates, and handing it to a mail server or a folder."""
