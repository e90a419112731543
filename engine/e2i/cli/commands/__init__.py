"""What can be typed after ``e2i``, grouped by what it is about. In: arguments. Out: one call, its result printed, and
an exit code. What a command needs is imported when it is carried out.
"""
