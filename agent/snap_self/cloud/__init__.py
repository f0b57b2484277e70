"""The ECS API: credentials, calls, retries, and what its errors mean."""
