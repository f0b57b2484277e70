"""The network: HTTP, TLS and the SDK."""
