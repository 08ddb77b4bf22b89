//! Hyperparameters: who may set which, what then stands in storage, and when nobody may.
//!
//! Origins and bounds are the real chain's, as its recorded calls have them: an owner sets once in two
//! tempos, root whenever it likes, and neither shortly before an epoch where the call minds the window.

use chain::{Call, Chain, Keypair, NetUid, SubmitError, Value};
use localnet::{Config, Genesis, GenesisSubnet, Localnet};

use crate::connect;

const NETUID: NetUid = NetUid(1);
const NOWHERE: u128 = 99;
const TEMPO: u16 = 360;

/// Who may set a hyperparameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// Owner and root, in front of the window only; the owner once in two tempos.
    Owner,
    /// As [`May::Owner`], without a limit of its own.
    OwnerAtWill,
    /// Root, in front of the window only.
    RootWindow,
    /// Root, at any time.
    Root,
}

use May::{Owner, OwnerAtWill, Root, RootWindow};

/// A value to set, and how it reads back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    N(u128),
    I(i128),
    B(bool),
}

use To::{B, I, N};

impl To {
    fn value(self) -> Value {
        match self {
            N(number) => Value::u128(number),
            I(number) => Value::i128(number),
            B(flag) => Value::bool(flag),
        }
    }
}

/// Call, argument, value, storage item, whether it is of a subnet, who may.
type Row = (&'static str, &'static str, To, &'static str, bool, May);

const ROWS: &[Row] = &[
    ("sudo_set_serving_rate_limit", "serving_rate_limit", N(77), "ServingRateLimit", true, Owner),
    ("sudo_set_max_difficulty", "max_difficulty", N(9_999), "MaxDifficulty", true, Owner),
    ("sudo_set_weights_version_key", "weights_version_key", N(7), "WeightsVersionKey", true, Owner),
    ("sudo_set_adjustment_alpha", "adjustment_alpha", N(5), "AdjustmentAlpha", true, Owner),
    ("sudo_set_immunity_period", "immunity_period", N(1_234), "ImmunityPeriod", true, Owner),
    ("sudo_set_min_allowed_weights", "min_allowed_weights", N(3), "MinAllowedWeights", true, Owner),
    ("sudo_set_max_allowed_uids", "max_allowed_uids", N(128), "MaxAllowedUids", true, Owner),
    ("sudo_set_rho", "rho", N(12), "Rho", true, Owner),
    ("sudo_set_activity_cutoff", "activity_cutoff", N(4_000), "ActivityCutoff", true, Owner),
    (
        "sudo_set_activity_cutoff_factor",
        "factor_milli",
        N(2_000),
        "ActivityCutoffFactorMilli",
        true,
        Owner,
    ),
    ("sudo_set_min_burn", "min_burn", N(700_000), "MinBurn", true, Owner),
    ("sudo_set_max_burn", "max_burn", N(90_000_000_000), "MaxBurn", true, Owner),
    (
        "sudo_set_bonds_moving_average",
        "bonds_moving_average",
        N(800_000),
        "BondsMovingAverage",
        true,
        Owner,
    ),
    ("sudo_set_bonds_penalty", "bonds_penalty", N(321), "BondsPenalty", true, Owner),
    (
        "sudo_set_commit_reveal_weights_enabled",
        "enabled",
        B(false),
        "CommitRevealWeightsEnabled",
        true,
        Owner,
    ),
    (
        "sudo_set_commit_reveal_weights_interval",
        "interval",
        N(4),
        "RevealPeriodEpochs",
        true,
        Owner,
    ),
    ("sudo_set_liquid_alpha_enabled", "enabled", B(true), "LiquidAlphaOn", true, Owner),
    ("sudo_set_toggle_transfer", "toggle", B(false), "TransferToggle", true, Owner),
    ("sudo_set_alpha_sigmoid_steepness", "steepness", I(700), "AlphaSigmoidSteepness", true, Owner),
    ("sudo_set_yuma3_enabled", "enabled", B(false), "Yuma3On", true, Owner),
    ("sudo_set_bonds_reset_enabled", "enabled", B(true), "BondsResetOn", true, Owner),
    (
        "sudo_set_owner_immune_neuron_limit",
        "immune_neurons",
        N(4),
        "ImmuneOwnerUidsLimit",
        true,
        Owner,
    ),
    ("sudo_set_burn_half_life", "burn_half_life", N(500), "BurnHalfLife", true, Owner),
    ("sudo_set_owner_cut_enabled", "enabled", B(false), "OwnerCutEnabled", true, OwnerAtWill),
    ("sudo_set_min_difficulty", "min_difficulty", N(8), "MinDifficulty", true, RootWindow),
    ("sudo_set_difficulty", "difficulty", N(9), "Difficulty", true, RootWindow),
    (
        "sudo_set_target_registrations_per_interval",
        "target_registrations_per_interval",
        N(6),
        "TargetRegistrationsPerInterval",
        true,
        RootWindow,
    ),
    (
        "sudo_set_max_allowed_validators",
        "max_allowed_validators",
        N(32),
        "MaxAllowedValidators",
        true,
        RootWindow,
    ),
    (
        "sudo_set_max_registrations_per_block",
        "max_registrations_per_block",
        N(5),
        "MaxRegistrationsPerBlock",
        true,
        RootWindow,
    ),
    (
        "sudo_set_subtoken_enabled",
        "subtoken_enabled",
        B(false),
        "SubtokenEnabled",
        true,
        RootWindow,
    ),
    ("sudo_set_min_allowed_uids", "min_allowed_uids", N(0), "MinAllowedUids", true, RootWindow),
    (
        "sudo_set_weights_set_rate_limit",
        "weights_set_rate_limit",
        N(55),
        "WeightsSetRateLimit",
        true,
        Root,
    ),
    (
        "sudo_set_adjustment_interval",
        "adjustment_interval",
        N(44),
        "AdjustmentInterval",
        true,
        Root,
    ),
    ("sudo_set_kappa", "kappa", N(33_000), "Kappa", true, Root),
    (
        "sudo_set_network_registration_allowed",
        "registration_allowed",
        B(false),
        "NetworkRegistrationAllowed",
        true,
        Root,
    ),
    ("sudo_set_min_non_immune_uids", "min", N(2), "MinNonImmuneUids", true, Root),
    ("sudo_set_subnet_emission_enabled", "enabled", B(true), "SubnetEmissionEnabled", true, Root),
    (
        "sudo_set_ema_price_halving_period",
        "ema_halving",
        N(1_000),
        "EMAPriceHalvingBlocks",
        true,
        Root,
    ),
    ("sudo_set_default_take", "default_take", N(10_000), "MaxDelegateTake", false, Root),
    ("sudo_set_tx_rate_limit", "tx_rate_limit", N(3), "TxRateLimit", false, Root),
    ("sudo_set_subnet_owner_cut", "subnet_owner_cut", N(9_000), "SubnetOwnerCut", false, Root),
    ("sudo_set_network_rate_limit", "rate_limit", N(11), "NetworkRateLimit", false, Root),
    (
        "sudo_set_network_immunity_period",
        "immunity_period",
        N(12),
        "NetworkImmunityPeriod",
        false,
        Root,
    ),
    ("sudo_set_network_min_lock_cost", "lock_cost", N(13), "NetworkMinLockCost", false, Root),
    ("sudo_set_subnet_limit", "max_subnets", N(14), "SubnetLimit", false, Root),
    (
        "sudo_set_lock_reduction_interval",
        "interval",
        N(15),
        "NetworkLockReductionInterval",
        false,
        Root,
    ),
    ("sudo_set_stake_threshold", "min_stake", N(16), "StakeThreshold", false, Root),
    (
        "sudo_set_nominator_min_required_stake",
        "min_stake",
        N(17),
        "NominatorMinRequiredStake",
        false,
        Root,
    ),
    (
        "sudo_set_tx_delegate_take_rate_limit",
        "tx_rate_limit",
        N(18),
        "TxDelegateTakeRateLimit",
        false,
        Root,
    ),
    ("sudo_set_min_delegate_take", "take", N(19), "MinDelegateTake", false, Root),
    ("sudo_set_commit_reveal_version", "version", N(5), "CommitRevealWeightsVersion", false, Root),
    ("sudo_set_start_call_delay", "delay", N(21), "StartCallDelay", false, Root),
    ("sudo_set_max_mechanism_count", "max_mechanism_count", N(3), "MaxMechanismCount", false, Root),
    (
        "sudo_set_max_epochs_per_block",
        "max_epochs_per_block",
        N(3),
        "MaxEpochsPerBlock",
        false,
        Root,
    ),
];

fn key(path: &str) -> Keypair {
    Keypair::dev(path).unwrap()
}

/// A subnet of //Bob's, on a chain whose sudo key is //Alice's.
async fn stage() -> (Localnet, Chain) {
    let address = |path: &str| key(path).hotkey().to_string();
    let subnet: GenesisSubnet = serde_json::from_value(serde_json::json!({
        "netuid": NETUID, "owner": address("//Bob"), "owner_hotkey": address("//Bob//hot"),
        "started": true, "tempo": TEMPO,
    }))
    .unwrap();
    let genesis = Genesis { subnets: vec![subnet], ..Genesis::default() };
    let node = localnet::spawn(Config { genesis, ..Config::test() }).unwrap();
    let chain = connect(&node).await;
    (node, chain)
}

/// The call of a row for a subnet, where it is of one.
fn call(row: &Row, netuid: u128, to: Value) -> Call {
    let (name, argument, _, _, of_subnet, _) = *row;
    let netuid = of_subnet.then(|| ("netuid", Value::u128(netuid)));
    Call::admin(name, netuid.into_iter().chain([(argument, to)]))
}

/// The end of a call that is not refused.
const DONE: &str = "done";

/// How a call ends: [`DONE`], or the name of its refusal.
async fn ends(chain: &Chain, call: &Call, signer: &str) -> String {
    match chain.submit(call, &key(signer)).await {
        Ok(_) => DONE.to_owned(),
        Err(SubmitError::Refused { refusal, .. }) => refusal.name,
        Err(other) => panic!("{}: {other}", call.name()),
    }
}

async fn stored(chain: &Chain, row: &Row) -> Option<To> {
    let keys = if row.4 { vec![Value::u128(NETUID.0.into())] } else { Vec::new() };
    let value = chain.storage("SubtensorModule", row.3, keys, None).await.unwrap()?;
    read(&value, row.2)
}

/// A value as one of the kind of `like`, taken out of its newtypes.
fn read(value: &Value, like: To) -> Option<To> {
    let read = match like {
        N(_) => value.as_u128().map(N),
        I(_) => value.as_i128().map(I),
        B(_) => value.as_bool().map(B),
    };
    match (&value.value, read) {
        (scale_value::ValueDef::Composite(inner), None) => read_one(inner, like),
        (_, read) => read,
    }
}

fn read_one(inner: &scale_value::Composite<()>, like: To) -> Option<To> {
    inner.values().next().and_then(|value| read(value, like))
}

async fn no_window(chain: &Chain) {
    let call = Call::admin("sudo_set_admin_freeze_window", [("window", Value::u128(0))]);
    assert_eq!(ends(chain, &Call::sudo(call), "//Alice").await, DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hyperparameter_is_set_by_those_who_may_and_nobody_else() {
    let (_node, chain) = stage().await;
    no_window(&chain).await;
    for row in ROWS {
        let (what, _, to, item, of_subnet, may) = *row;
        let set = call(row, NETUID.0.into(), to.value());
        assert_ne!(stored(&chain, row).await, Some(to), "{what}: {item} is another at first");
        assert_eq!(ends(&chain, &set, "//Charlie").await, "BadOrigin", "{what}: a stranger");
        let owners = ends(&chain, &set, "//Bob").await;
        match may {
            Owner | OwnerAtWill => assert_eq!(owners, DONE, "{what}: the owner"),
            RootWindow | Root => {
                assert_eq!(owners, "BadOrigin", "{what}: the owner");
                assert_eq!(ends(&chain, &Call::sudo(set.clone()), "//Alice").await, DONE, "{what}");
            }
        }
        assert_eq!(stored(&chain, row).await, Some(to), "{what}: {item}");
        // Once in two tempos, whatever the value; a change by root neither counts nor waits.
        let again = ends(&chain, &set, "//Bob").await;
        match may {
            Owner => assert_eq!(again, "TxRateLimitExceeded", "{what}: again"),
            OwnerAtWill => assert_eq!(again, DONE, "{what}: again"),
            RootWindow | Root => {}
        }
        assert_eq!(ends(&chain, &Call::sudo(set), "//Alice").await, DONE, "{what}: root");
        if of_subnet && may == Owner {
            let nowhere = call(row, NOWHERE, to.value());
            assert!(ends(&chain, &nowhere, "//Bob").await != DONE, "{what}: no such subnet");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shortly_before_an_epoch_what_minds_the_window_is_refused_to_root_too() {
    let (node, chain) = stage().await;
    let head = chain.finalized_head().await.unwrap();
    let clock = chain.epoch_clock(NETUID, Some(head.hash)).await.unwrap();
    let next = clock.next_epoch_block(head.number).unwrap();
    // The window is the ten blocks in front of the epoch; a snapshot keeps every row within it.
    node.mine(u32::try_from(next - head.number).unwrap() - 6).unwrap();
    for rows in ROWS.chunks(2) {
        let before = node.head().number;
        for row in rows {
            let set = Call::sudo(call(row, NETUID.0.into(), row.2.value()));
            let ended = ends(&chain, &set, "//Alice").await;
            let expected = match row.5 {
                Root => DONE,
                _ => "AdminActionProhibitedDuringWeightsWindow",
            };
            assert_eq!(ended, expected, "{} in block {before}", row.0);
        }
        // Into the next window.
        node.mine(u32::from(TEMPO) - 2).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_limit_is_over_after_two_tempos() {
    let (node, chain) = stage().await;
    no_window(&chain).await;
    let row = &ROWS[0];
    let set = |to: u128| call(row, NETUID.0.into(), Value::u128(to));
    assert_eq!(ends(&chain, &set(1), "//Bob").await, DONE);
    // The next extrinsic is in the block after those mined.
    node.mine(2 * u32::from(TEMPO) - 2).unwrap();
    assert_eq!(ends(&chain, &set(2), "//Bob").await, "TxRateLimitExceeded");
    assert_eq!(ends(&chain, &set(2), "//Bob").await, DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_out_of_bounds_are_refused_by_name() {
    let (_node, chain) = stage().await;
    no_window(&chain).await;
    let limit = Call::admin("sudo_set_owner_hparam_rate_limit", [("epochs", Value::u128(0))]);
    assert_eq!(ends(&chain, &Call::sudo(limit), "//Alice").await, DONE);
    let set = |what: &'static str, argument: &'static str, to: To| {
        Call::admin(what, [("netuid", Value::u128(NETUID.0.into())), (argument, to.value())])
    };
    for (what, argument, to, error) in [
        ("sudo_set_commit_reveal_weights_interval", "interval", N(0), "RevealPeriodTooSmall"),
        ("sudo_set_commit_reveal_weights_interval", "interval", N(101), "RevealPeriodTooLarge"),
        (
            "sudo_set_bonds_moving_average",
            "bonds_moving_average",
            N(975_001),
            "BondsMovingAverageMaxReached",
        ),
        (
            "sudo_set_max_allowed_uids",
            "max_allowed_uids",
            N(257),
            "MaxAllowedUidsGreaterThanDefaultMaxAllowedUids",
        ),
        (
            "sudo_set_max_allowed_uids",
            "max_allowed_uids",
            N(63),
            "MaxAllowedUidsLessThanMinAllowedUids",
        ),
        ("sudo_set_min_burn", "min_burn", N(1_000_000_000), "ValueNotInBounds"),
        ("sudo_set_max_burn", "max_burn", N(100_000_000), "ValueNotInBounds"),
        ("sudo_set_burn_half_life", "burn_half_life", N(0), "InvalidValue"),
        ("sudo_set_burn_half_life", "burn_half_life", N(36_101), "InvalidValue"),
        ("sudo_set_activity_cutoff", "activity_cutoff", N(359), "ActivityCutoffTooLow"),
        ("sudo_set_alpha_sigmoid_steepness", "steepness", I(-1), "NegativeSigmoidSteepness"),
        ("sudo_set_owner_immune_neuron_limit", "immune_neurons", N(0), "InvalidValue"),
        ("sudo_set_owner_immune_neuron_limit", "immune_neurons", N(11), "InvalidValue"),
        ("sudo_set_tempo", "tempo", N(359), "TempoOutOfBounds"),
    ] {
        let ended = ends(&chain, &set(what, argument, to), "//Bob").await;
        assert_eq!(ended, error, "{what} {to:?}");
    }
    let values = |low: u128, high: u128| {
        let netuid = ("netuid", Value::u128(NETUID.0.into()));
        let bounds = [netuid, ("alpha_low", Value::u128(low)), ("alpha_high", Value::u128(high))];
        Call::admin("sudo_set_alpha_values", bounds)
    };
    assert_eq!(ends(&chain, &values(2_000, 3_000), "//Bob").await, "LiquidAlphaDisabled");
    let on = set("sudo_set_liquid_alpha_enabled", "enabled", B(true));
    assert_eq!(ends(&chain, &on, "//Bob").await, DONE);
    for (low, high, error) in [
        (1_638, 1_637, "AlphaHighTooLow"),
        (1_637, 3_000, "AlphaLowOutOfRange"),
        (3_001, 3_000, "AlphaLowOutOfRange"),
        (1_638, 3_000, DONE),
    ] {
        let ended = ends(&chain, &values(low, high), "//Bob").await;
        assert_eq!(ended, error, "{low} {high}");
    }
    // Root is free of the bounds that are the owner's alone.
    let free = set("sudo_set_bonds_moving_average", "bonds_moving_average", N(975_001));
    assert_eq!(ends(&chain, &Call::sudo(free), "//Alice").await, DONE);
}
