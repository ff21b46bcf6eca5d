"""Redis or Valkey: backplane, presence and throttle of several nodes. It stores nothing that must not be lost."""
