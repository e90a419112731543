"""A user's function, for specs that call one."""


def clean(table, least):
    return table[table.calls >= least]
