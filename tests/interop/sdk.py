"""The Python SDK, unmodified, against the local chain: what it reads, pays, registers and sets.

usage: sdk.py ENDPOINT READ
READ is this project's own client (chain/examples/read.rs): both must read the same.
Each line printed is a fact that was checked on the chain; the first that does not hold ends the run.
"""

import json
import subprocess
import sys
from urllib.request import Request, urlopen

import bittensor as bt
from bittensor._generated import calls
from bittensor.keyfiles import Keypair

ENDPOINT, READ = sys.argv[1:]
CHECKED = 0
TAO = 10**9
# Reads of what spec 461 has and this chain does not: docs/localnet.md names these pallets.
ABSENT = ("Crowdloan", "BetaBasketRuntimeApi")


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
        self.cold, self.hot = self.coldkey.ss58_address, self.hotkey.ss58_address


ALICE, BOB = DevWallet("//Alice"), DevWallet("//Bob")


def does(chain, intent, wallet):
    result = chain.execute(intent, wallet)
    result.raise_for_failure()
    return result


def refusal(chain, intent, wallet):
    """The name of the error that an intent meets, before or on the chain."""
    try:
        result = chain.execute(intent, wallet)
    except bt.BittensorError as error:
        return f"{type(error).__name__} {error}"
    return "" if result.success else f"{result.error} {result.message}"


def balances(chain):
    fact("it connects and reads a block number", chain.block >= 0)
    fact("the runtime is spec 461", chain.spec_version == 461)
    before = chain.balances.get(BOB.cold)
    fact("//Bob is funded", before.rao > 0)
    result = does(chain, bt.Transfer(BOB.cold, 5), ALICE)
    gained = chain.balances.get(BOB.cold).rao - before.rao
    fact("a transfer arrives to the rao", gained == 5 * TAO)
    many = chain.balances.get_many([ALICE.cold, BOB.cold])
    fact("balances are read together", many[BOB.cold].rao == before.rao + gained)
    fact("the existential deposit is 500 rao", chain.balances.existential_deposit().rao == 500)
    return result


def blocks(chain):
    info = chain.block_info(chain.block)
    fact("a block has its number and extrinsics", info.number > 0 and len(info.extrinsics) > 0)
    fact("the chain names its block time", chain.block_time() == 0.25 and chain.is_fast_blocks())
    fact("the finalized head is a block", 0 < chain.finalized_block <= chain.block)
    pinned = chain.at(info.number - 1)
    fact("a block can be read after it passed", pinned.timestamp() < chain.timestamp())


def subnet(chain, owner):
    known = {subnet.netuid for subnet in chain.subnets.all()}
    cost = chain.subnets.subnet_registration_cost()
    before = chain.balances.get(owner.cold)
    does(chain, bt.RegisterSubnet(owner.hot), owner)
    (netuid,) = {subnet.netuid for subnet in chain.subnets.all()} - known
    fact("a subnet registers", netuid > 0)
    paid = before.rao - chain.balances.get(owner.cold).rao
    fact("for what it was said to cost, about", abs(paid - cost.rao) < cost.rao // 100)
    does(chain, bt.StartCall(netuid), owner)
    info = chain.subnets.info(netuid)
    fact("it has its owner's neuron", (info.netuid, info.neuron_count) == (netuid, 1))
    recorded = chain.query(("SubtensorModule", "SubnetOwner"), [netuid])
    fact("and its owner", recorded == owner.cold)
    started = chain.query(("SubtensorModule", "FirstEmissionBlockNumber"), [netuid])
    fact("it is started", started is not None)
    return netuid


def lift_network_rate_limit(chain):
    """By //Alice, who is sudo: the chain takes one new subnet in 7,200 blocks."""
    inner = calls.AdminUtils.sudo_set_network_rate_limit(rate_limit=0)
    chain.submit_call(calls.Sudo.sudo(call=chain.compose(inner)), ALICE).raise_for_failure()


def registration(chain, netuid):
    does(chain, bt.BurnedRegister(netuid, BOB.hot), BOB)
    graph = chain.subnets.metagraph(netuid)
    hotkeys = [neuron.hotkey for neuron in graph.neurons]
    fact("a shielded registration takes a slot", hotkeys == [ALICE.hot, BOB.hot])
    fact("the uid is found by hotkey", chain.neurons.uid(BOB.hot, netuid) == 1)
    fact("and the netuids", chain.neurons.netuids_for_hotkey(BOB.hot) == [netuid])
    fact("and its coldkey", chain.neurons.hotkey_owner(BOB.hot) == BOB.cold)
    lite = chain.neurons.all(netuid)
    full = chain.neurons.all(netuid, lite=False)
    fact("neurons are listed", [n.hotkey for n in lite] == [n.hotkey for n in full] == hotkeys)
    again = refusal(chain, bt.BurnedRegister(netuid, BOB.hot), BOB)
    fact("a second registration is refused", again != "")


def stakes(chain, netuid, other):
    def stake(hotkey, on=netuid, coldkey=ALICE.cold):
        return chain.staking.get(coldkey, hotkey, on).rao

    before = stake(ALICE.hot)
    quote = chain.prices.quote_stake(netuid, 5.0)
    does(chain, bt.AddStake(ALICE.hot, netuid, 5), ALICE)
    gained = stake(ALICE.hot) - before
    fact("staked tao becomes alpha", gained > 0)
    fact("near what was quoted", abs(gained - quote.alpha.rao) < quote.alpha.rao // 50)
    before = stake(ALICE.hot)
    does(chain, bt.RemoveStake(ALICE.hot, netuid, bt.alpha(1, netuid)), ALICE)
    fact("and some of it leaves again", before - stake(ALICE.hot) == TAO)
    alpha = bt.alpha(1, netuid)
    does(chain, bt.MoveStake(ALICE.hot, netuid, BOB.hot, netuid, alpha), ALICE)
    fact("some moves to another hotkey", abs(stake(BOB.hot) - TAO) <= 1)
    does(chain, bt.SwapStake(BOB.hot, netuid, other, bt.alpha(0.5, netuid)), ALICE)
    fact("some swaps to another subnet", stake(BOB.hot, other) > 0)
    alpha = bt.alpha(0.1, netuid)
    does(chain, bt.TransferStake(BOB.cold, ALICE.hot, netuid, netuid, alpha), ALICE)
    fact("some goes to another coldkey", stake(ALICE.hot, coldkey=BOB.cold) >= TAO // 10 - 1)
    does(chain, bt.RootRegister(ALICE.hot), ALICE)
    does(chain, bt.AddStake(ALICE.hot, 0, 10), ALICE)
    fact("root stake is tao for tao", stake(ALICE.hot, 0) == 10 * TAO)
    positions = {(p.hotkey, p.netuid) for p in chain.staking.positions(ALICE.cold)}
    fact("positions are listed", {(ALICE.hot, netuid), (ALICE.hot, 0)} <= positions)


def hyperparameters(chain, netuid):
    def read(name):
        return chain.subnets.subnet_hyperparameters(netuid)[name]

    for name, value in [("immunity_period", 6000), ("serving_rate_limit", 0)]:
        does(chain, bt.SetHyperparameter(netuid, name, value), ALICE)
        fact(f"the owner sets {name}, and it is read back", read(name) == value)
    stranger = refusal(chain, bt.SetHyperparameter(netuid, "immunity_period", 7), BOB)
    fact("nobody else sets one", stranger != "" and read("immunity_period") == 6000)


def identities(chain, netuid):
    does(chain, bt.SetSubnetIdentity(netuid, "ganglion", "https://example.org/code", "a@example.org"), ALICE)
    identity = chain.subnets.subnet_identity(netuid)
    fact("a subnet has an identity", identity["subnet_name"] == "ganglion")
    fact("and its name is in the list", chain.subnets.subnet_names()[netuid] == "ganglion")
    does(chain, bt.SetIdentity("alice", url="https://example.org"), ALICE)
    fact("so has a coldkey", chain.identity.identity(ALICE.cold)["name"] == "alice")


def commitments(chain, netuid):
    info = {"fields": [[{"Raw5": b"hello"}]]}
    call = calls.Commitments.set_commitment(netuid=netuid, info=info)
    chain.submit_call(call, BOB, signer="hotkey").raise_for_failure()
    fact("a commitment is read back", "hello" in str(chain.identity.commitment(netuid, BOB.hot)))
    fact("and listed", any("hello" in str(row) for row in chain.identity.commitments(netuid)))


def serving(chain, netuid):
    does(chain, bt.ServeAxon(netuid, "203.0.113.7", 8091), BOB)
    axon = chain.subnets.metagraph(netuid).neurons[1].axon
    fact("an axon is published", "203.0.113.7" in str(axon) and "8091" in str(axon))
    does(chain, bt.ServePrometheus(netuid, "203.0.113.7", 9100), BOB)


def delegation(chain, netuid):
    does(chain, bt.SetChildren(netuid, [[0.5, BOB.hot]], ALICE.hot), ALICE)
    pending = chain.delegation.pending_children(ALICE.hot, netuid)
    named = BOB.hot in str(pending) or BOB.hot in str(chain.delegation.children(ALICE.hot, netuid))
    fact("a child key is proposed", named)
    does(chain, bt.SetChildkeyTake(netuid, 0.1, ALICE.hot), ALICE)
    take = chain.query(("SubtensorModule", "ChildkeyTake"), [ALICE.hot, netuid])
    fact("it has a take", take == round(0.1 * 65535))
    before = chain.delegation.delegate_take(ALICE.hot)["take_u16"]
    does(chain, bt.DecreaseTake(0.05, ALICE.hot), ALICE)
    after = chain.delegation.delegate_take(ALICE.hot)["take_u16"]
    fact("a delegate takes less", after == round(0.05 * 65535) < before)
    fact("and is a delegate", chain.delegation.is_delegate(ALICE.hot))


def wait_for_rate_limit(chain, netuid):
    """A registration counts as an update: the first weights wait as well. Blocks are made, not waited for."""
    blocks = chain.hyperparameters.weights_rate_limit(netuid) + 1
    request = {"jsonrpc": "2.0", "id": 1, "method": "dev_mine", "params": [blocks]}
    headers = {"Content-Type": "application/json"}
    http = ENDPOINT.replace("ws://", "http://")
    with urlopen(Request(http, json.dumps(request).encode(), headers)) as answer:
        assert "error" not in json.load(answer)
    chain.wait_for_block(chain.block)


def hidden_weights(chain, netuid):
    fact("a new subnet hides weights", chain.subnets.commit_reveal_enabled(netuid))
    wait_for_rate_limit(chain, netuid)
    does(chain, bt.SetWeights(netuid, [0, 1], [0.5, 0.5]), ALICE)
    commits = chain.weights.timelocked_weight_commits(netuid)
    fact("timelocked weights are accepted", ALICE.hot in str(commits))
    # The SDK encrypts for quicknet; this chain's beacon is its own, so they never open here.
    row = chain.query(("SubtensorModule", "Weights"), [netuid, 0])
    fact("and stay closed", not row)


def open_weights(chain, netuid):
    does(chain, bt.SetHyperparameter(netuid, "commit_reveal_weights_enabled", False), ALICE)
    fact("the owner turns commit-reveal off", not chain.subnets.commit_reveal_enabled(netuid))
    wait_for_rate_limit(chain, netuid)
    does(chain, bt.SetWeights(netuid, [0, 1], [0.25, 0.75]), ALICE)
    row = dict(chain.query(("SubtensorModule", "Weights"), [netuid, 0]))
    fact("open weights are stored max-upscaled", row == {0: 21845, 1: 65535})
    read = chain.weights.weights(netuid)[0]
    fact("and read as shares", abs(read[1] / read[0] - 3) < 1e-3)


def same_as_ours(chain, netuid):
    """Every field that both clients give a neuron and a subnet, at one block."""
    output = subprocess.run([READ, ENDPOINT, str(netuid), BOB.cold], check=True, capture_output=True).stdout
    ours = json.loads(output)
    block = ours["metagraph"]["block"]
    theirs = chain.subnets.metagraph(netuid, block)
    fact("both read as many neurons", len(theirs.neurons) == len(ours["metagraph"]["neurons"]))
    plain = ("uid", "hotkey", "coldkey", "active", "validator_permit", "last_update", "block_at_registration")
    amounts = ("emission", "alpha_stake", "tao_stake", "total_stake")
    shares = ("incentive", "consensus", "dividends")
    for own, other in zip(ours["metagraph"]["neurons"], theirs.neurons):
        axon = own["axon"] and f"{own['axon']['ip']}:{own['axon']['port']}"
        differing = [name for name in plain if own[name] != getattr(other, name)]
        differing += [name for name in amounts if own[name] != getattr(other, name).rao]
        differing += [name for name in shares if abs(own[name] / 65535 - getattr(other, name)) > 1e-9]
        differing += ["axon"] if axon != other.axon else []
        fact(f"both read the same of uid {own['uid']} {differing or ''}", not differing)
    parameters = chain.subnets.subnet_hyperparameters(netuid, block=block)
    shared = {name: value for name, value in ours["hyperparameters"].items() if name in parameters}
    differing = [name for name, value in shared.items() if parameters[name] != value]
    fact(f"both read {len(shared)} hyperparameters alike {differing or ''}", shared and not differing)
    fact("both read a balance", ours["balance"] == chain.balances.get(BOB.cold, block).rao)
    same_chain(chain, netuid, ours)
    same_neurons(chain, netuid, ours, chain.at(block))


def same_chain(chain, netuid, ours):
    """What is not of a neuron, at the block that our client read."""
    pinned = chain.at(ours["block"]["number"])
    theirs = chain.block_info(ours["block"]["number"])
    fact("both know the block", ours["block"]["hash"] == theirs.hash.removeprefix("0x"))
    seconds = pinned.timestamp().timestamp()
    fact("and its time", abs(ours["block"]["ms"] / 1000 - seconds) < 1)
    fact("and the chain's pace", ours["block_time_s"] == chain.block_time())
    fact("and the next epoch's block", ours["next_epoch_block"] == pinned.epochs.next_epoch_start_block(netuid))
    stored = {
        "epoch": "SubnetEpochIndex", "last_update": "LastUpdate",
    }
    for name, item in stored.items():
        fact(f"and {item}", ours[name] == pinned.query(("SubtensorModule", item), [netuid]))
    graph, info = ours["metagraph"], pinned.subnets.metagraph(netuid)
    pool = {"tao_in": "SubnetTAO", "alpha_in": "SubnetAlphaIn", "alpha_out": "SubnetAlphaOut", "burn": "Burn",
            "tempo": "Tempo", "blocks_since_last_step": "BlocksSinceLastStep", "max_uids": "MaxAllowedUids"}
    differing = [name for name, item in pool.items()
                 if graph[name] != pinned.query(("SubtensorModule", item), [netuid])]
    fact(f"and the subnet's pool and pace {differing or ''}", not differing)
    owner = pinned.query(("SubtensorModule", "SubnetOwner"), [netuid])
    fact("and its owner", graph["owner_coldkey"] == owner and graph["owner_hotkey"] == ALICE.hot)
    fact("and its name", graph["name"] == info.name)


def same_neurons(chain, netuid, ours, pinned):
    """What hangs on a neuron: stake, commitment, weights."""
    rows = {uid: row for uid, row in pinned.query_map(("SubtensorModule", "Weights"), [netuid])}
    for own, neuron in zip(ours["neurons"], ours["metagraph"]["neurons"]):
        uid, hotkey = neuron["uid"], neuron["hotkey"]
        fact(f"both find uid {uid} by its hotkey", own["uid"] == pinned.neurons.uid(hotkey, netuid) == uid)
        stake = pinned.staking.get(neuron["coldkey"], hotkey, netuid).rao
        fact(f"and its owner's stake", own["stake"] == stake)
        theirs = str(pinned.identity.commitment(netuid, hotkey))
        committed = own["commitment"] and bytes.fromhex(own["commitment"][0]).decode()
        fact("and its commitment", (committed in theirs) if committed else "hello" not in theirs)
        fact("and its weights", [tuple(pair) for pair in own["weights"]] == [tuple(p) for p in rows.get(uid, [])])


def every_read(chain, netuid):
    """Each read that the SDK knows gives an answer, or is about a pallet that is not here."""
    arguments = {
        "coldkey_ss58": ALICE.cold, "coldkey_ss58s": [ALICE.cold], "hotkey_ss58": ALICE.hot,
        "hotkey_ss58s": [ALICE.hot], "netuid": netuid, "netuids": [netuid], "uid": 0, "mechid": 0,
        "block": chain.block - 1, "amount_tao": 1.0, "amount_alpha": 1.0, "account_ss58": ALICE.cold,
        "call_hash": "0x" + "00" * 32, "crowdloan_id": 0, "lease_id": 0,
    }
    answered, absent, broken = 0, 0, []
    for read in chain.reads():
        wanted = {name: arguments[name] for name in read["params"] if name in arguments}
        try:
            chain.read(read["name"], **wanted)
            answered += 1
        except Exception as error:  # the SDK raises whatever the read met
            if any(name in str(error) for name in ABSENT):
                absent += 1
            else:
                broken.append(f"{read['name']}: {error}")
    if broken:
        print("\n".join(broken))
    fact(f"of {answered + absent} reads {answered} are answered, {absent} are of absent pallets", not broken)


def main():
    with bt.SyncClient(ENDPOINT) as chain:
        balances(chain)
        blocks(chain)
        lift_network_rate_limit(chain)
        netuid, other = subnet(chain, ALICE), subnet(chain, DevWallet("//Dave"))
        registration(chain, netuid)
    # A plain transaction right after a shielded one needs a fresh client, here as on finney.
    with bt.SyncClient(ENDPOINT) as chain:
        stakes(chain, netuid, other)
        hyperparameters(chain, netuid)
        identities(chain, netuid)
        commitments(chain, netuid)
        serving(chain, netuid)
        delegation(chain, netuid)
        hidden_weights(chain, netuid)
        open_weights(chain, netuid)
        same_as_ours(chain, netuid)
        every_read(chain, netuid)
    print(f"the SDK: {CHECKED} facts hold")


main()
