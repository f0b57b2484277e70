"""Looking back: a snapshot opened beside the running system, and what is done with it."""
