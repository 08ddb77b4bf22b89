"""The Python SDK's commit-reveal, unmodified and opened: `--beacon quicknet` with the one genuine pulse at hand.

usage: quicknet.py ENDPOINT CLOCK ROUND
The chain and this script run under libfaketime with FAKETIME_TIMESTAMP_FILE=CLOCK, a file that holds the offset
from the true time in seconds, and FAKETIME_NO_CACHE=1. The chain has quicknet's pulse of ROUND and no other, and
the subnet of quicknet.toml. The first commit tells which round the SDK chooses; then the clock is set so that it
chooses ROUND.
"""

import sys

import bittensor as bt
from bittensor.keyfiles import Keypair

ENDPOINT, CLOCK, ROUND = sys.argv[1], sys.argv[2], int(sys.argv[3])
NETUID, PERIOD_S = 1, 3


class Charlie:
    coldkey = coldkeypub = hotkey = Keypair.create_from_uri("//Charlie")


def commit(chain, weights):
    result = chain.execute(bt.SetWeights(NETUID, [0, 1], weights), Charlie)
    result.raise_for_failure()
    commits = chain.query_map(("SubtensorModule", "TimelockedWeightCommits"), [NETUID])
    rounds = [entry[-1] for _, epoch in commits for entry in epoch]
    return max(rounds)


def shift(seconds):
    with open(CLOCK) as file:
        offset = int(file.read())
    with open(CLOCK, "w") as file:
        file.write(str(offset + seconds))


def main():
    with bt.SyncClient(ENDPOINT) as chain:
        # Only a validator's weights count, and an epoch makes it one.
        while not all(chain.query(("SubtensorModule", "ValidatorPermit"), [NETUID])[1:2] or [False]):
            chain.wait_for_block(chain.block + 5)
        chosen = commit(chain, [0.75, 0.25])
        assert chosen < ROUND, f"round {chosen}: the clock is ahead already"
        shift((ROUND - chosen) * PERIOD_S)
        chosen = commit(chain, [0.25, 0.75])
        if chosen != ROUND:
            sys.exit(f"the SDK chose round {chosen}, not {ROUND}")
        print(f"  the SDK hides its weights until quicknet's round {ROUND}")
        for _ in range(120):
            row = dict(chain.query(("SubtensorModule", "Weights"), [NETUID, 1]) or [])
            if row:
                break
            chain.wait_for_block(chain.block + 2)
        assert row == {0: 21845, 1: 65535}, f"{row} after 240 blocks"
        print("  quicknet's pulse opens them")


main()
