"""Pure: text of procfs and sysfs, and the cloud's disk list, to which disk carries what."""
