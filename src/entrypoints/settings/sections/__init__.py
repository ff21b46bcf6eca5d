"""The settings by what they are about; each part builds on the one before, and `declared` on the last."""
