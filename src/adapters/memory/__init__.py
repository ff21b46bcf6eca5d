"""The ports within one process: for `herald dev` without other software, and as fakes of the unit tests."""
