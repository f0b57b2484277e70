"""Credentials: the chain of sources that Alibaba Cloud's SDKs and CLI share, without their SDK.

One module per source; `chain.SOURCES` names them in order. What a source decides:

* not set up: skipped, with the reason kept for ``doctor``;
* set up: used, and the chain ends there, whether it works or not. The SDKs go on to the next
  source when one is broken; the agent stops instead, since silently using other keys than the
  ones somebody set up could snapshot with the wrong account's rights.

Where "set up" ends is as the SDKs document it: OIDC needs all three of its variables, a file needs
to exist, and a default profile without any key in it has not been filled in yet.
"""
