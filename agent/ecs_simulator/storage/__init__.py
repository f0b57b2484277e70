"""The storage for the bytes of simulated disks.

``loop`` puts image files on loop devices (needs root), ``files`` keeps plain image files, ``qcow``
holds the disks of a virtual machine (``guest``), controlled through ``qmp``. Everything is noted in
``ledger`` before it is made, so that it can be removed whatever happens to the process.
"""
