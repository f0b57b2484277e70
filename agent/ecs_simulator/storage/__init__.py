"""What holds the bytes of simulated disks.

``loop`` puts image files on loop devices (needs root), ``files`` keeps plain image files, ``qcow``
holds the disks of a virtual machine (``guest``), steered through ``qmp``. What they make is in
``ledger`` before it is made, so that it can be taken away again whatever happens to the process.
"""
