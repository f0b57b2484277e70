"""Who and where this instance is: metadata service and identity."""
