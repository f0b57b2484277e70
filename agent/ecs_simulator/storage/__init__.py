"""What holds the bytes of simulated disks.

``loop`` puts image files on loop devices (needs root), ``files`` keeps plain image files. Both
note in ``ledger`` what they make, before they make it, so that it can be taken away again whatever
happens to the process.
"""
