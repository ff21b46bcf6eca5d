"""What an attacker may try, in the order of docs/security.md."""
