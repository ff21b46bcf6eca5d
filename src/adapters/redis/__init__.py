"""Connects several nodes by Redis or Valkey: backplane, presence and throttle. Everything in Redis may be lost
without harm."""
