"""The configuration: one table of keys drives files, environment, options and the example."""
