"""Run the agent as ``python -m snap_self``."""

from snap_self.cli.entry import main

main()
