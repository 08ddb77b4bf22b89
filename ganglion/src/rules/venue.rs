//! `arena --on-chain`: a season's weights as real extrinsics on a real chain, its epochs by the pallet.

use std::fmt::Display;

use chain::{Call, Chain, ConnectOptions, Keypair};
use chain_metadata::{MechId, NetUid, Uid, Weights};
use localnet::{Genesis, GenesisSubnet, Localnet, Sealing};
use serde_json::json;
use subnet_rules::arena::{Slots, Venue, VenueError, Venues};

const NETUID: NetUid = NetUid(1);

/// Alpha of each validator, in rao: what a long season mints is little beside it, so that the
/// validators keep their permits.
const STAKE: u64 = 1_000_000_000_000_000_000 / 16;

/// Starts a local chain for each season.
#[derive(Debug)]
pub(super) struct LocalChains;

/// A subnet on a local chain, and its validators' keys.
struct OnChain {
    runtime: tokio::runtime::Runtime,
    node: Localnet,
    chain: Chain,
    validators: Vec<Keypair>,
}

impl Venues for LocalChains {
    fn open(&self, slots: Slots) -> Result<Box<dyn Venue>, VenueError> {
        let path = |slot: usize| format!("//Arena//{slot}");
        let validators = usize::from(slots.validators);
        let keys = (1..=validators).map(|slot| Keypair::dev(&path(slot)));
        let keys: Vec<Keypair> = keys.collect::<Result<_, _>>()?;
        let neurons: Vec<_> = (1..=validators + slots.miners)
            .map(|slot| {
                let key = Keypair::dev(&path(slot))?.hotkey().to_string();
                let stake = if slot <= validators { STAKE } else { 0 };
                Ok(json!({ "hotkey": key, "coldkey": key, "stake": stake }))
            })
            .collect::<Result<_, VenueError>>()?;
        let owner = Keypair::dev(&path(0))?.hotkey().to_string();
        let subnet: GenesisSubnet = serde_json::from_value(json!({
            "netuid": NETUID, "owner": owner, "owner_hotkey": owner, "started": true,
            "tempo": slots.tempo, "commit_reveal": false, "weights_rate_limit": 0,
            "max_allowed_validators": slots.validators, "min_allowed_weights": 0,
            "neurons": neurons,
        }))?;
        let node = localnet::spawn(localnet::Config {
            sealing: Sealing::Instant,
            port: 0,
            genesis: Genesis { subnets: vec![subnet], ..Genesis::default() },
            ..localnet::Config::default()
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let chain = runtime.block_on(Chain::connect(&[node.url()], ConnectOptions::default()))?;
        let mut venue = OnChain { runtime, node, chain, validators: keys };
        venue.tune(slots)?;
        // The first epoch grants the validators their permits.
        venue.epoch()?;
        Ok(Box::new(venue))
    }
}

impl OnChain {
    /// Sets what a genesis does not.
    fn tune(&self, slots: Slots) -> Result<(), VenueError> {
        let sudo = Keypair::dev("//Alice")?;
        let value = |number: u16| chain::Value::u128(number.into());
        let netuid = || ("netuid", value(NETUID.0));
        for (name, argument, number) in [
            ("sudo_set_kappa", "kappa", slots.chain.kappa),
            ("sudo_set_bonds_penalty", "bonds_penalty", slots.chain.bonds_penalty),
        ] {
            let call = Call::sudo(Call::admin(name, [netuid(), (argument, value(number))]));
            self.submit(&call, &sudo, name)?;
        }
        Ok(())
    }

    fn submit(&self, call: &Call, signer: &Keypair, what: impl Display) -> Result<(), VenueError> {
        let submitted = self.runtime.block_on(self.chain.submit(call, signer));
        submitted.map(drop).map_err(|error| format!("{what}: {error}").into())
    }
}

impl Venue for OnChain {
    fn set_weights(&mut self, uid: Uid, weights: &Weights) -> Result<(), VenueError> {
        let validator = usize::from(uid.0).checked_sub(1).and_then(|at| self.validators.get(at));
        let validator = validator.ok_or_else(|| format!("slot {uid} is no validator's"))?;
        let call = Call::set_weights(NETUID, MechId(0), weights, 0);
        self.submit(&call, validator, format_args!("the weights of slot {uid}"))
    }

    fn epoch(&mut self) -> Result<Vec<u16>, VenueError> {
        let clock = self.runtime.block_on(self.chain.epoch_clock(NETUID, None))?;
        let head = self.node.head().number;
        let next = clock.next_epoch_block(u64::from(head)).ok_or("the subnet runs no epochs")?;
        let blocks = u32::try_from(next)?.saturating_sub(head).max(1);
        self.node.mine(blocks)?;
        let metagraph = self.runtime.block_on(self.chain.metagraph(NETUID, None))?;
        Ok(metagraph.neurons.iter().map(|neuron| neuron.incentive).collect())
    }
}
