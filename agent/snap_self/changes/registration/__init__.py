"""Whether package managers really call snap-self, found out by asking them; one module a hook."""
