"""Wallets and timelocked commits, both ways between the Python SDK and us.

usage: keys.py INTEROP_EXAMPLE
"""

import subprocess
import sys
import tempfile

import bittensor as bt
import bittensor_core

PASSWORD = "correct horse battery"
# Quicknet's round 1000, signed.
ROUND = 1000
SIGNATURE = (
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
    "e342b73a8dd2bacbe47e4b6b63ed5e39"
)
CHECKED = 0


def fact(sentence, holds):
    global CHECKED
    if not holds:
        sys.exit(f"not so: {sentence}")
    CHECKED += 1
    print(f"  {sentence}")


def ours(*words):
    run = subprocess.run([sys.argv[1], *words], check=True, capture_output=True, text=True)
    return run.stdout.split()


def scale_bytes(data):
    """SCALE of a short byte string: a compact length and the bytes."""
    length = len(data) << 2
    return (bytes([length]) if len(data) < 64 else (length | 1).to_bytes(2, "little")) + data


def main():
    home = tempfile.mkdtemp()
    theirs = bt.Wallet(name="theirs", hotkey="worker", path=home)
    theirs.create_new_coldkey(use_password=True, coldkey_password=PASSWORD, suppress=True)
    theirs.create_new_hotkey(suppress=True)
    seen = ours("open", home, "theirs", "worker", PASSWORD)
    keys = [theirs.coldkeypub.ss58_address, theirs.hotkey.ss58_address]
    fact("a wallet of the SDK opens here, its encrypted coldkey included", seen == keys)

    made = ours("create", home, "ours", "worker", PASSWORD)
    wallet = bt.Wallet(name="ours", hotkey="worker", path=home)
    coldkey = wallet.get_coldkey(password=PASSWORD)
    keys = [coldkey.ss58_address, wallet.hotkey.ss58_address]
    fact("a wallet of ours opens there, its encrypted coldkey included", made == keys)

    message = b"weights"
    (sealed,) = ours("seal", str(ROUND), message.hex())
    envelope = scale_bytes(bytes.fromhex(sealed)) + ROUND.to_bytes(8, "little")
    opened = bittensor_core.decrypt_with_signature(envelope, SIGNATURE)
    fact("what we encrypt for a round opens there", bytes(opened) == message)
    envelope, _ = bittensor_core.encrypt_at_round(message, ROUND)
    inner = bytes(bittensor_core.inner_ciphertext(envelope)).hex()
    fact("what it encrypts opens here", ours("unseal", SIGNATURE, inner) == [message.hex()])
    print(f"keys and commits: {CHECKED} facts hold")


main()
