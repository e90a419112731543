"""What a change of columns or types breaks, between two git revisions of a workspace (``e2i impact BASE..HEAD``).

``revisions`` writes both to folders, ``state`` examines all specs and test files of one, ``comparing`` finds steps and
cases that are no longer valid, ``running`` is the route. No step is run.
"""
