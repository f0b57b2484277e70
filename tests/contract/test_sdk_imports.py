"""What the SDK has loaded once the agent can call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AGENT = Path(__file__).resolve().parents[2] / "agent"
WARM = f"""
import sys
sys.path.insert(0, {str(AGENT)!r})
from snap_self.system.net.sdk import warm
warm()
"""
SIGN = """
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from base64 import b64encode
from aliyunsdkcore.auth.signers.rsa_key_pair_signer import sha_hmac256
key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.DER,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
print(len(sha_hmac256.get_sign_string("text", b64encode(key).decode())))
"""


def told(code: str) -> str:
    """Return what a process of its own prints, once the SDK is warm."""
    done = subprocess.run(
        [sys.executable, "-c", WARM + code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_warm_when_done_then_cryptography_is_not_loaded() -> None:
    assert told("print('cryptography' in sys.modules)") == "False"


def test_warm_when_done_then_the_sdk_can_still_sign_with_an_rsa_key() -> None:
    assert told(SIGN) == "344"  # 256 bytes in base64
