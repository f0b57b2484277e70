"""Threads and pools of threads that are started only where there is memory for one."""
