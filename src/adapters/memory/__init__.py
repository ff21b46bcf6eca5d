"""The ports within one process: what `herald dev` needs when nothing else is installed, and the fakes of the unit
tests."""
