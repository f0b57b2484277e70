"""What the cloud must allow: RAM policies and the commands that give them to a role, as data."""
