"""Going back while the system runs: data disks freed, reset and put back in their places."""
