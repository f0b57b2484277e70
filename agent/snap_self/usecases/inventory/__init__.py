"""This instance's own snapshots as the cloud tells them, and which of them to keep."""
