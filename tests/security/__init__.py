"""What an attacker may try, by the lines of docs/security.md."""
