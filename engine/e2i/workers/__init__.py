"""Execute steps: the interface ``Executor``, warm worker processes under guardians, limits and exit reasons."""
