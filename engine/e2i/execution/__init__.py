"""Execute a plan. In: a ``Plan`` and a store. Out: a ``RunRecord``. Everything with an effect is in this package."""
