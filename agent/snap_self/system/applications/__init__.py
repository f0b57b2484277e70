"""Database servers as seen from outside: their processes, sockets and containers."""
