"""Train models of tables and predict with them. In: tables and parameters. Out: fitted models, predictions."""
