"""btcli, unmodified, against the local chain: a wallet on disk that pays, founds, registers, stakes and weighs.

usage: btcli.py ENDPOINT
Runs the `btcli` beside this Python. What a command did is read from the chain, not from its exit code.
"""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import bittensor as bt
from bittensor.wallet import Wallet

ENDPOINT = sys.argv[1]
BTCLI = str(Path(sys.executable).with_name("btcli"))
CHECKED = 0
TAO = 10**9


def fact(sentence, holds):
    global CHECKED
    if not holds:
        sys.exit(f"not so: {sentence}")
    CHECKED += 1
    print(f"  {sentence}")


def dev(method, *params):
    """One of the chain's development methods."""
    request = {"jsonrpc": "2.0", "id": 1, "method": f"dev_{method}", "params": params}
    headers = {"Content-Type": "application/json"}
    http = ENDPOINT.replace("ws://", "http://")
    with urlopen(Request(http, json.dumps(request).encode(), headers)) as answer:
        return json.load(answer)["result"]


def btcli(*words, wallet="carol"):
    """Runs a command without questions; what it answered, parsed."""
    command = [BTCLI, *map(str, words), "-n", ENDPOINT, "-w", wallet, "-H", "hot", "--json"]
    if words[:1] != ("query",) and words[1] in WRITES:
        command.append("-y")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


WRITES = {"transfer", "create", "register", "add", "remove", "set", "start"}


def create(wallet):
    command = [BTCLI, "wallet", "create", "--no-password", "-w", wallet, "-H", "hot"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    keys = Wallet(name=wallet, hotkey="hot")
    return keys.coldkeypub.ss58_address, keys.hotkey.ss58_address


def main():
    (carol, carol_hot), (dan, dan_hot) = create("carol"), create("dan")
    for account in (carol, dan):
        dev("setBalance", account, 10_000 * TAO)
    with bt.SyncClient(ENDPOINT) as chain:
        wallets(chain, carol, dan)
        netuid = subnets(chain, dan_hot)
        stakes(chain, carol, carol_hot, netuid)
        hyperparameters(netuid)
        weights(chain, netuid)
    print(f"btcli: {CHECKED} facts hold")


def wallets(chain, carol, dan):
    balance = btcli("wallet", "balance")
    fact("wallet balance shows what the chain has", "10000" in json.dumps(balance))
    before = chain.balances.get(dan).rao
    btcli("wallet", "transfer", "--dest", dan, "--amount", 5)
    fact("wallet transfer pays to the rao", chain.balances.get(dan).rao - before == 5 * TAO)


def subnets(chain, dan_hot):
    known = {subnet.netuid for subnet in chain.subnets.all()}
    btcli("subnets", "create")
    (netuid,) = {subnet.netuid for subnet in chain.subnets.all()} - known
    fact("subnets create founds one", netuid > 0)
    btcli("hparams", "start", "--netuid", netuid)
    listed = {subnet["netuid"] for subnet in records(btcli("subnets", "list"))}
    fact("subnets list names it", netuid in listed)
    fact("subnets show tells of it", f'"netuid": {netuid}' in json.dumps(btcli("subnets", "show", netuid)))
    btcli("subnets", "register", "--netuid", netuid, wallet="dan")
    fact("subnets register takes a slot", chain.neurons.uid(dan_hot, netuid) == 1)
    graph = json.dumps(btcli("query", "metagraph", "--netuid", netuid))
    fact("query metagraph lists it", dan_hot in graph)
    return netuid


def records(answer):
    """The list in an answer, which may be wrapped."""
    if isinstance(answer, list):
        return answer
    return next(value for value in answer.values() if isinstance(value, list))


def stakes(chain, carol, carol_hot, netuid):
    def stake():
        return chain.staking.get(carol, carol_hot, netuid).rao

    btcli("stake", "add", "--netuid", netuid, "--amount", 5)
    staked = stake()
    fact("stake add, shielded, becomes alpha", staked > 0)
    fact("stake list shows it", carol_hot in json.dumps(btcli("stake", "list")))
    btcli("stake", "remove", "--netuid", netuid, "--amount", 1, "--no-mev-shield")
    fact("stake remove takes some back", abs(staked - stake() - TAO) <= 1)


def hyperparameters(netuid):
    def shown(name):
        return json.dumps(btcli("hparams", "get", "--netuid", netuid, "--name", name))

    btcli("hparams", "set", "--netuid", netuid, "--name", "immunity_period", "--value", 6000)
    everything = btcli("subnets", "hyperparameters", netuid)
    fact("hyperparameters are listed", "immunity_period" in json.dumps(everything))
    fact("hyperparameters are set and shown", "6000" in shown("immunity_period"))
    off = ("--name", "commit_reveal_weights_enabled", "--value", "false")
    btcli("hparams", "set", "--netuid", netuid, *off)


def weights(chain, netuid):
    dev("mine", chain.hyperparameters.weights_rate_limit(netuid) + 1)
    btcli("weights", "set", "--netuid", netuid, "--uids", "0,1", "--weights", "0.25,0.75")
    row = dict(chain.query(("SubtensorModule", "Weights"), [netuid, 0]))
    fact("weights set stores them max-upscaled", row == {0: 21845, 1: 65535})


main()
