//! What can be asked of the chain, by name.

use chain_metadata::{Alpha, AxonInfo, Coldkey, Hotkey, MechId, NetUid, Tao, Weights};
use subxt::dynamic::Value;

use crate::client::SUBTENSOR;

/// A call with its arguments, by name: it is encoded by the metadata of the connected runtime, so
/// nothing here knows an index or an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pallet: String,
    name: String,
    args: Vec<(String, Value)>,
}

impl Call {
    /// Any call.
    pub fn dynamic(
        pallet: impl Into<String>,
        name: impl Into<String>,
        args: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let args = args.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { pallet: pallet.into(), name: name.into(), args }
    }

    fn subtensor(name: &str, args: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self::dynamic(SUBTENSOR, name, args)
    }

    /// Open weights of one mechanism. Signed by the hotkey, free.
    pub fn set_weights(
        netuid: NetUid,
        mechanism: MechId,
        weights: &Weights,
        version_key: u64,
    ) -> Self {
        Self::subtensor(
            "set_mechanism_weights",
            [
                ("netuid", number(netuid.0)),
                ("mecid", number(mechanism.0)),
                ("dests", numbers(weights.uids())),
                ("weights", numbers(weights.values())),
                ("version_key", number(version_key)),
            ],
        )
    }

    /// The hash of weights, to be revealed by hand. Signed by the hotkey, free.
    pub fn commit_weights(netuid: NetUid, mechanism: MechId, commit_hash: [u8; 32]) -> Self {
        Self::subtensor(
            "commit_mechanism_weights",
            [
                ("netuid", number(netuid.0)),
                ("mecid", number(mechanism.0)),
                ("commit_hash", Value::from_bytes(commit_hash)),
            ],
        )
    }

    /// Weights whose hash was committed. Signed by the hotkey, free.
    pub fn reveal_weights(
        netuid: NetUid,
        mechanism: MechId,
        weights: &Weights,
        salt: &[u16],
        version_key: u64,
    ) -> Self {
        Self::subtensor(
            "reveal_mechanism_weights",
            [
                ("netuid", number(netuid.0)),
                ("mecid", number(mechanism.0)),
                ("uids", numbers(weights.uids())),
                ("values", numbers(weights.values())),
                ("salt", numbers(salt.iter().copied())),
                ("version_key", number(version_key)),
            ],
        )
    }

    /// Encrypted weights that the chain reveals itself. Signed by the hotkey, free.
    pub fn commit_timelocked_weights(
        netuid: NetUid,
        mechanism: MechId,
        commit: &[u8],
        reveal_round: u64,
        version: u16,
    ) -> Self {
        Self::subtensor(
            "commit_timelocked_mechanism_weights",
            [
                ("netuid", number(netuid.0)),
                ("mecid", number(mechanism.0)),
                ("commit", Value::from_bytes(commit)),
                ("reveal_round", number(reveal_round)),
                ("commit_reveal_version", number(version)),
            ],
        )
    }

    /// A slot for a hotkey at the present price. Signed by the coldkey.
    pub fn burned_register(netuid: NetUid, hotkey: &Hotkey) -> Self {
        Self::subtensor("burned_register", [("netuid", number(netuid.0)), ("hotkey", key(hotkey))])
    }

    /// A slot for a hotkey, if it costs no more than the limit. Signed by the coldkey.
    pub fn register_limit(netuid: NetUid, hotkey: &Hotkey, limit: Tao) -> Self {
        Self::subtensor(
            "register_limit",
            [
                ("netuid", number(netuid.0)),
                ("hotkey", key(hotkey)),
                ("limit_price", number(limit.rao())),
            ],
        )
    }

    /// A new subnet, whose first neuron is the hotkey. Signed by the coldkey, who will own it.
    pub fn register_network(hotkey: &Hotkey) -> Self {
        Self::subtensor("register_network", [("hotkey", key(hotkey))])
    }

    /// Starts a subnet's emission. Signed by its owner.
    pub fn start_call(netuid: NetUid) -> Self {
        Self::subtensor("start_call", [("netuid", number(netuid.0))])
    }

    /// Publishes where a neuron serves. Signed by the hotkey, free.
    pub fn serve_axon(netuid: NetUid, axon: &AxonInfo) -> Self {
        let address = axon.raw_address();
        Self::subtensor(
            "serve_axon",
            [
                ("netuid", number(netuid.0)),
                ("version", number(axon.version)),
                ("ip", Value::u128(address.ip)),
                ("port", number(axon.port)),
                ("ip_type", number(address.ip_type)),
                ("protocol", number(axon.protocol)),
                ("placeholder1", number(0u8)),
                ("placeholder2", number(0u8)),
            ],
        )
    }

    /// Stakes TAO on a hotkey in a subnet. Signed by the coldkey.
    pub fn add_stake(hotkey: &Hotkey, netuid: NetUid, amount: Tao) -> Self {
        Self::subtensor(
            "add_stake",
            [
                ("hotkey", key(hotkey)),
                ("netuid", number(netuid.0)),
                ("amount_staked", number(amount.rao())),
            ],
        )
    }

    /// Takes stake back as TAO. Signed by the coldkey.
    pub fn remove_stake(hotkey: &Hotkey, netuid: NetUid, amount: Alpha) -> Self {
        Self::subtensor(
            "remove_stake",
            [
                ("hotkey", key(hotkey)),
                ("netuid", number(netuid.0)),
                ("amount_unstaked", number(amount.rao())),
            ],
        )
    }

    /// Gives TAO away, keeping the sender alive. Signed by the coldkey.
    pub fn transfer(to: &Coldkey, amount: Tao) -> Self {
        let to = Value::unnamed_variant("Id", [key(to)]);
        let args = [("dest", to), ("value", number(amount.rao()))];
        Self::dynamic("Balances", "transfer_keep_alive", args)
    }

    /// Sets a hyperparameter. Signed by the subnet's owner, or by root within [`Call::sudo`].
    pub fn admin(name: &str, args: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self::dynamic("AdminUtils", name, args)
    }

    /// A call with root's rights. Signed by the sudo key; such a key exists on test chains only.
    pub fn sudo(call: Self) -> Self {
        Self::dynamic("Sudo", "sudo", [("call", call.into_value())])
    }

    /// Several calls, all or none.
    pub fn batch_all(calls: impl IntoIterator<Item = Self>) -> Self {
        let calls = calls.into_iter().map(Self::into_value);
        Self::dynamic("Utility", "batch_all", [("calls", Value::unnamed_composite(calls))])
    }

    /// The pallet.
    pub fn pallet(&self) -> &str {
        &self.pallet
    }

    /// The call's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The call as an argument of another call.
    fn into_value(self) -> Value {
        Value::unnamed_variant(self.pallet, [Value::named_variant(self.name, self.args)])
    }

    /// The call as subxt takes it.
    pub(crate) fn payload(&self) -> subxt::tx::DynamicPayload<scale_value::Composite<()>> {
        let args = scale_value::Composite::named(self.args.clone());
        subxt::tx::dynamic(self.pallet.clone(), self.name.clone(), args)
    }
}

fn number(value: impl Into<u64>) -> Value {
    Value::u128(value.into().into())
}

fn numbers(values: impl IntoIterator<Item = u16>) -> Value {
    Value::unnamed_composite(values.into_iter().map(number))
}

fn key(key: impl AsRef<[u8]>) -> Value {
    Value::from_bytes(key.as_ref())
}
