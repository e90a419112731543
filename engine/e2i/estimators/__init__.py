"""Models of tables: a table and parameters go in, a fitted model in a folder comes out, and predictions from such a folder."""
