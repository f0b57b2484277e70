"""Credentials: the chain of sources that Alibaba Cloud's SDKs and CLI share, without their SDK.

There is one module per source; `chain.SOURCES` names them in order. A source decides:

* not set up: it is skipped, and the reason is kept for ``doctor``;
* set up: it is used, and the chain ends there, whether it works or not. The SDKs go on to the next
  source if one is broken. The agent stops instead: silently using keys other than those that
  somebody set up could snapshot with the wrong account's rights.

"Set up" means what the SDKs document: OIDC needs all three of its variables, a file must exist, and
a default profile without any key has not been filled in yet.
"""
