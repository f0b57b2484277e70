"""Pure: turn text of procfs and sysfs and the cloud's disk list into which disk carries what."""
