"""Reports to text or JSON, and progress; the only package that prints."""
