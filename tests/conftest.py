"""For all tests: a property test must not fail because the machine is busy."""

from hypothesis import settings

settings.register_profile("eyechart", deadline=None)
settings.load_profile("eyechart")
