"""Carries a plan out. In: a ``Plan`` and a store. Out: a ``RunRecord``; everything with an effect lives here."""
