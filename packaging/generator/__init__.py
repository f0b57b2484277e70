"""Manual pages and completions, made from the command line itself."""
