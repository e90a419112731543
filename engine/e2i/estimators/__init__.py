"""Models of tables: tables and parameters go in; fitted models in folders come out, and predictions by them."""
