"""The Python SDK, unmodified, against the local chain: what it reads, pays, registers and sets.

usage: sdk.py ENDPOINT
Each line printed is a fact that was checked; the first one that does not hold ends the run.
"""

import sys

import bittensor as bt
from bittensor.keyfiles import Keypair

ENDPOINT = sys.argv[1]
CHECKED = 0


def fact(sentence, holds):
    global CHECKED
    if not holds:
        sys.exit(f"not so: {sentence}")
    CHECKED += 1
    print(f"  {sentence}")


class DevWallet:
    """The keys of a development path, in the shape that the SDK takes for a wallet."""

    def __init__(self, uri):
        self.coldkey = self.coldkeypub = Keypair.create_from_uri(uri)
        self.hotkey = Keypair.create_from_uri(f"{uri}//hot")


def main():
    alice, bob = DevWallet("//Alice"), DevWallet("//Bob")
    cold, hot = alice.coldkey.ss58_address, alice.hotkey.ss58_address
    with bt.SyncClient(ENDPOINT) as chain:
        fact("it connects and reads a block number", chain.block >= 0)
        before = chain.balances.get(bob.coldkey.ss58_address)
        fact("//Bob is funded", before.rao > 0)
        chain.execute(bt.Transfer(bob.coldkey.ss58_address, 5), alice).raise_for_failure()
        after = chain.balances.get(bob.coldkey.ss58_address)
        fact("a transfer arrives to the rao", after.rao - before.rao == 5 * 10**9)

        known = {subnet.netuid for subnet in chain.subnets.all()}
        chain.execute(bt.RegisterSubnet(hot), alice).raise_for_failure()
        (netuid,) = {subnet.netuid for subnet in chain.subnets.all()} - known
        fact("a subnet registers", netuid > 0)
        chain.execute(bt.StartCall(netuid), alice).raise_for_failure()

        worker = bob.hotkey.ss58_address
        chain.execute(bt.BurnedRegister(netuid, worker), bob).raise_for_failure()
        graph = chain.subnets.metagraph(netuid)
        hotkeys = [neuron.hotkey for neuron in graph.neurons]
        fact("a shielded registration takes a slot", worker in hotkeys)
        fact("the owner's hotkey is uid 0", hotkeys[0] == hot)

    with bt.SyncClient(ENDPOINT) as chain:
        chain.execute(bt.AddStake(hot, netuid, 5), alice).raise_for_failure()
        stake = chain.staking.get(cold, hot, netuid)
        fact("staked tao becomes alpha", stake.rao > 0)
        chain.execute(bt.RemoveStake(hot, netuid, bt.alpha(1, netuid)), alice).raise_for_failure()
        fact("and some of it leaves again", chain.staking.get(cold, hot, netuid).rao < stake.rao)

        name = "commit_reveal_weights_enabled"
        chain.execute(bt.SetHyperparameter(netuid, name, False), alice).raise_for_failure()
        fact("the owner turns commit-reveal off", not chain.subnets.commit_reveal_enabled(netuid))

        chain.execute(bt.ServeAxon(netuid, "203.0.113.7", 8091), bob).raise_for_failure()
        axon = chain.subnets.metagraph(netuid).neurons[1].axon
        fact("an axon is published", "203.0.113.7" in str(axon))

        # A registration counts as an update: the first weights wait for the rate limit.
        chain.wait_for_block(chain.block + chain.hyperparameters.weights_rate_limit(netuid) + 1)
        result = chain.execute(bt.SetWeights(netuid, [0, 1], [0.25, 0.75]), alice)
        result.raise_for_failure()
        row = dict(chain.query(("SubtensorModule", "Weights"), [netuid, 0]))
        fact("open weights are stored max-upscaled", row == {0: 21845, 1: 65535})
    print(f"the SDK: {CHECKED} facts hold")


main()
