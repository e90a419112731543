"""Where steps are carried out: the seam ``Executor``, warm processes under guardians, their limits and their ends."""
