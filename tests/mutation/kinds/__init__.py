"""The kinds of mistake: functions that take a good spec and give every mutant of their kind that it has room for."""
