"""The last Python SDK with an axon of its own (bittensor 10.5.0), unmodified, against the local chain.

usage: sdk10.py ENDPOINT      a chain that began with docs/subnet.toml
Each line printed is a fact that was checked on the chain; the first that does not hold ends the run.
"""

import sys
import time

import bittensor as bt
from bittensor_wallet import Keypair

NETUID = 1
CHECKED = 0


def fact(sentence, holds):
    global CHECKED
    if not holds:
        sys.exit(f"not so: {sentence}")
    CHECKED += 1
    print(f"  {sentence}")


class DevWallet:
    """The keys of development paths, in the shape that the SDK takes for a wallet."""

    def __init__(self, coldkey, hotkey):
        self.coldkey = self.coldkeypub = Keypair.create_from_uri(coldkey)
        self.hotkey = Keypair.create_from_uri(hotkey)
        self.name, self.hotkey_str = coldkey, hotkey

    def unlock_coldkey(self):
        pass

    unlock_hotkey = unlock_coldkeypub = unlock_coldkey


def reads(chain):
    alice = Keypair.create_from_uri("//Alice").ss58_address
    fact("it reads a block number", chain.block >= 0)
    fact("it reads a balance", chain.get_balance(alice).tao == 1_000_000)
    fact("it lists the networks", [net.netuid for net in chain.all_subnets()] == [0, NETUID])
    fact("it reads a subnet's pool", chain.subnet(NETUID).tao_in.tao > 0)
    fact("it reads hyperparameters", chain.get_subnet_hyperparameters(NETUID).tempo == 40)
    graph = chain.metagraph(NETUID)
    fact("it syncs a metagraph", int(graph.n) == 3 and len(graph.hotkeys) == 3)
    info = chain.get_metagraph_info(NETUID)
    fact("both its metagraphs name the same hotkeys", list(info.hotkeys) == list(graph.hotkeys))
    full, lite = chain.neurons(NETUID), chain.neurons_lite(NETUID)
    fact("it reads neurons", [one.hotkey for one in full] == [one.hotkey for one in lite] == list(graph.hotkeys))
    fact("it reads the price of a slot", chain.recycle(NETUID).rao > 0)


def joins(chain):
    dave = DevWallet("//Dave", "//Dave//hot")
    hotkey = dave.hotkey.ss58_address
    before = chain.get_balance(dave.coldkey.ss58_address)
    fact("it registers", chain.burned_register(dave, NETUID, wait_for_finalization=False).success)
    fact("the hotkey has a slot", chain.get_uid_for_hotkey_on_subnet(hotkey, NETUID) == 3)
    fact("which was paid for", chain.get_balance(dave.coldkey.ss58_address) < before)
    staked = chain.add_stake(dave, NETUID, hotkey, bt.Balance.from_tao(10))
    stake = chain.get_stake(dave.coldkey.ss58_address, hotkey, NETUID)
    fact("it stakes", staked.success and stake.rao > 9 * 10**9)
    bob = Keypair.create_from_uri("//Bob").ss58_address
    before = chain.get_balance(bob)
    paid = chain.transfer(dave, bob, bt.Balance.from_tao(1))
    fact("it pays", paid.success and (chain.get_balance(bob) - before).tao == 1)
    axon = bt.Axon(wallet=dave, ip="1.2.3.4", port=8091, external_ip="1.2.3.4", external_port=8091)
    fact("it serves an axon", chain.serve_axon(NETUID, axon).success)
    served = chain.metagraph(NETUID).axons[3]
    fact("which the metagraph shows", (served.ip, served.port) == ("1.2.3.4", 8091))


def weighs(chain):
    charlie = DevWallet("//Charlie", "//Charlie")
    uid = chain.get_uid_for_hotkey_on_subnet(charlie.hotkey.ss58_address, NETUID)
    for _ in range(600):  # permits come with an epoch
        if chain.metagraph(NETUID).validator_permit[uid]:
            break
        time.sleep(0.1)
    answer = chain.set_weights(charlie, NETUID, [2, 3], [0.5, 0.5], wait_for_finalization=False)
    fact("it sets weights", answer.success)
    fact("which the chain holds", dict(chain.weights(NETUID))[uid] == [(2, 65535), (3, 65535)])


with_chain = bt.Subtensor(network=sys.argv[1])
reads(with_chain)
joins(with_chain)
weighs(with_chain)
print(f"bittensor {bt.__version__}: {CHECKED} facts hold")
