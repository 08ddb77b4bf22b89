//! Networks that exist from the first block.

use super::*;
use frame_support::PalletId;
use serde::{Deserialize, Serialize};
use sp_runtime::AccountId32;
use sp_runtime::traits::AccountIdConversion;

/// Tempo of the networks at genesis.
const GENESIS_TEMPO: u16 = 100;
/// Most neurons of the root network.
const ROOT_MAX_UIDS: u16 = 64;
/// Most validators at genesis.
const GENESIS_MAX_VALIDATORS: u16 = 64;

/// TAO and alpha in the development network's pool.
const DEVELOPMENT_POOL: u64 = 10_000_000_000;
/// Alpha that nobody staked on the development network.
const DEVELOPMENT_STAKE: u64 = 1_000_000_000;
/// Keys of the real chain's pallet of limit orders.
const LIMIT_ORDERS: PalletId = PalletId(*b"bt/limit");
const LIMIT_ORDERS_HOTKEY: PalletId = PalletId(*b"bt/lmhky");

/// A subnet at genesis. What is absent has the default of a newly registered subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisSubnet {
    /// The subnet; 0 is the root and always there.
    pub netuid: NetUid,
    /// Coldkey of the owner.
    pub owner: AccountId32,
    /// Hotkey of the owner; it is the first neuron.
    pub owner_hotkey: AccountId32,
    /// TAO in the pool, in rao.
    #[serde(default = "default_pool")]
    pub tao_in: u64,
    /// Alpha in the pool.
    #[serde(default = "default_pool")]
    pub alpha_in: u64,
    /// Whether the start call was made.
    #[serde(default)]
    pub started: bool,
    /// Whether the subnet receives TAO.
    #[serde(default)]
    pub emission_enabled: bool,
    /// Further neurons, in the order of their uids.
    #[serde(default)]
    pub neurons: Vec<GenesisNeuron>,
    /// Blocks between epochs.
    pub tempo: Option<u16>,
    /// Whether weights are committed first.
    pub commit_reveal: Option<bool>,
    /// Blocks between two rows of one neuron.
    pub weights_rate_limit: Option<u64>,
    /// Blocks of immunity of a new neuron.
    pub immunity_period: Option<u16>,
    /// Most neurons.
    pub max_allowed_uids: Option<u16>,
    /// Most validators.
    pub max_allowed_validators: Option<u16>,
    /// Fewest weights in a row.
    pub min_allowed_weights: Option<u16>,
    /// Price of a neuron, in rao.
    pub burn: Option<u64>,
    /// Blocks between two announcements of an endpoint.
    pub serving_rate_limit: Option<u64>,
}

/// A neuron at genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisNeuron {
    /// Its hotkey.
    pub hotkey: AccountId32,
    /// Its owner.
    pub coldkey: AccountId32,
    /// Alpha that the owner staked on it.
    #[serde(default)]
    pub stake: u64,
    /// TAO that the owner staked on it on the root network.
    #[serde(default)]
    pub root_stake: u64,
}

/// 1,000 TAO or alpha.
fn default_pool() -> u64 {
    1_000_000_000_000
}

impl<T: Config> Pallet<T> {
    /// Founds the root network.
    pub(crate) fn found_root() {
        let root = NetUid::ROOT;
        NetworksAdded::<T>::insert(root, true);
        TotalNetworks::<T>::put(1);
        TotalIssuance::<T>::put(TaoBalance(0));
        Tempo::<T>::insert(root, GENESIS_TEMPO);
        SubnetworkN::<T>::insert(root, 0);
        MaxAllowedUids::<T>::insert(root, ROOT_MAX_UIDS);
        MaxAllowedValidators::<T>::insert(root, GENESIS_MAX_VALIDATORS);
        MinAllowedWeights::<T>::insert(root, 0);
        NetworkRegistrationAllowed::<T>::insert(root, true);
        TargetRegistrationsPerInterval::<T>::insert(root, 1);
        TokenSymbol::<T>::insert(root, Self::symbol_for(root));
        SubnetOwner::<T>::insert(root, ZeroAccount::<T>::get());
        SubnetOwnerHotkey::<T>::insert(root, ZeroAccount::<T>::get());
    }

    /// Founds the development network: netuid 1 as the real chain's development genesis has it, with
    /// nobody's neuron, and the keys of the pallet of limit orders.
    pub(crate) fn found_development() {
        let (netuid, nobody) = (NetUid(1), ZeroAccount::<T>::get());
        NetworksAdded::<T>::insert(netuid, true);
        TotalNetworks::<T>::put(2);
        Tempo::<T>::insert(netuid, GENESIS_TEMPO);
        MaxAllowedUids::<T>::insert(netuid, MaxAllowedUids::<T>::get(netuid));
        MaxAllowedValidators::<T>::insert(netuid, GENESIS_MAX_VALIDATORS);
        MinAllowedWeights::<T>::insert(netuid, 0);
        NetworkRegistrationAllowed::<T>::insert(netuid, true);
        TokenSymbol::<T>::insert(netuid, Self::symbol_for(netuid));
        SubnetOwner::<T>::insert(netuid, &nobody);
        SubnetMechanism::<T>::insert(netuid, 1);
        SubnetTAO::<T>::insert(netuid, TaoBalance(DEVELOPMENT_POOL));
        SubnetAlphaIn::<T>::insert(netuid, AlphaBalance(DEVELOPMENT_POOL));
        SubnetLocked::<T>::insert(netuid, TaoBalance(1));
        LargestLocked::<T>::insert(netuid, 1);
        Owner::<T>::insert(&nobody, &nobody);
        StakingHotkeys::<T>::insert(&nobody, vec![nobody.clone()]);
        let stake = AlphaBalance(DEVELOPMENT_STAKE);
        Self::increase_stake(&nobody, &nobody, netuid, stake);
        SubnetAlphaOut::<T>::insert(netuid, stake);
        Self::append_neuron(netuid, &nobody);
        let coldkey: T::AccountId = LIMIT_ORDERS.into_account_truncating();
        let hotkey: T::AccountId = LIMIT_ORDERS_HOTKEY.into_account_truncating();
        Self::create_pair(&coldkey, &hotkey);
    }

    /// Founds a subnet with its pool and neurons.
    pub(crate) fn found_subnet(subnet: &GenesisSubnet) {
        let netuid = subnet.netuid;
        let pool = TaoBalance(subnet.tao_in);
        Self::init_network(netuid);
        Self::fund_network(netuid, pool, U64F64::from_num(1));
        SubnetAlphaIn::<T>::insert(netuid, AlphaBalance(subnet.alpha_in));
        Self::credit_account(&Self::subnet_account(netuid), pool);
        Self::create_pair(&subnet.owner, &subnet.owner_hotkey);
        SubnetOwner::<T>::insert(netuid, &subnet.owner);
        SubnetOwnerHotkey::<T>::insert(netuid, &subnet.owner_hotkey);
        SubnetEmissionEnabled::<T>::insert(netuid, subnet.emission_enabled);
        if subnet.started {
            FirstEmissionBlockNumber::<T>::insert(netuid, 1);
            SubtokenEnabled::<T>::insert(netuid, true);
        }
        Self::apply_genesis_settings(subnet);
        Self::append_neuron(netuid, &subnet.owner_hotkey);
        for neuron in &subnet.neurons {
            Self::seat_genesis_neuron(netuid, neuron);
        }
    }

    fn apply_genesis_settings(subnet: &GenesisSubnet) {
        let netuid = subnet.netuid;
        if let Some(tempo) = subnet.tempo {
            Tempo::<T>::insert(netuid, tempo);
        }
        if let Some(enabled) = subnet.commit_reveal {
            CommitRevealWeightsEnabled::<T>::insert(netuid, enabled);
        }
        if let Some(blocks) = subnet.weights_rate_limit {
            WeightsSetRateLimit::<T>::insert(netuid, blocks);
        }
        if let Some(blocks) = subnet.immunity_period {
            ImmunityPeriod::<T>::insert(netuid, blocks);
        }
        if let Some(uids) = subnet.max_allowed_uids {
            MaxAllowedUids::<T>::insert(netuid, uids);
        }
        if let Some(validators) = subnet.max_allowed_validators {
            MaxAllowedValidators::<T>::insert(netuid, validators);
        }
        if let Some(weights) = subnet.min_allowed_weights {
            MinAllowedWeights::<T>::insert(netuid, weights);
        }
        if let Some(burn) = subnet.burn {
            Burn::<T>::insert(netuid, TaoBalance(burn));
        }
        if let Some(blocks) = subnet.serving_rate_limit {
            ServingRateLimit::<T>::insert(netuid, blocks);
        }
    }

    fn seat_genesis_neuron(netuid: NetUid, neuron: &GenesisNeuron) {
        Self::create_pair(&neuron.coldkey, &neuron.hotkey);
        if Uids::<T>::get(netuid, &neuron.hotkey).is_none() {
            Self::append_neuron(netuid, &neuron.hotkey);
        }
        let alpha = AlphaBalance(neuron.stake);
        Self::increase_stake(&neuron.hotkey, &neuron.coldkey, netuid, alpha);
        SubnetAlphaOut::<T>::mutate(netuid, |total| *total = total.saturating_add(alpha));
        if neuron.root_stake > 0 {
            Self::stake_on_root_at_genesis(neuron);
        }
    }

    fn stake_on_root_at_genesis(neuron: &GenesisNeuron) {
        let root = NetUid::ROOT;
        let (tao, alpha) = (TaoBalance(neuron.root_stake), AlphaBalance(neuron.root_stake));
        Self::credit_account(&Self::subnet_account(root), tao);
        Self::increase_stake(&neuron.hotkey, &neuron.coldkey, root, alpha);
        SubnetTAO::<T>::mutate(root, |total| *total = total.saturating_add(tao));
        SubnetAlphaOut::<T>::mutate(root, |total| *total = total.saturating_add(alpha));
        TotalStake::<T>::mutate(|total| *total = total.saturating_add(tao));
        Self::note_root_staker(&neuron.coldkey);
    }

    /// Puts TAO into an account before anything can be transferred.
    fn credit_account(account: &T::AccountId, amount: TaoBalance) {
        use frame_support::traits::fungible::Mutate;
        let _ = pallet_balances::Pallet::<T>::mint_into(account, amount.0);
    }
}
