"""What this machine is: packages, /etc, units and the like, read beside the agent in a set time."""
