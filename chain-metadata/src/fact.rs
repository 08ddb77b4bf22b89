//! Everything the suite takes for granted about the chain: the calls it sends, the storage it
//! reads, the runtime APIs it asks.
//!
//! A fact says since (and until) which runtime it holds, and what we do where it does not. What
//! is neither there nor declared to be missing is a finding of [`check`](crate::check).

use std::fmt;

/// One thing we take for granted.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// What it is.
    pub what: What,
    /// First spec version known to have it; 0 for every one we have seen.
    pub since: u32,
    /// First spec version without it.
    pub until: Option<u32>,
    /// Whether any runtime may lack it.
    pub optional: bool,
    /// What we do where it may be missing; empty where we cannot do without.
    pub instead: &'static str,
}

/// A part of a runtime, with the shape we expect of it.
///
/// Shapes are written with newtypes taken off, as SCALE encodes nothing for them: `u16` may be a
/// `NetUid` in the metadata, `[u8; 32]` an `AccountId32`.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A call: arguments by name. Order does not matter, as we encode by name.
    Call {
        /// The pallet.
        pallet: &'static str,
        /// The call.
        name: &'static str,
        /// Names and shapes.
        args: &'static [(&'static str, &'static str)],
    },
    /// A storage item.
    Storage {
        /// The pallet.
        pallet: &'static str,
        /// The item.
        name: &'static str,
        /// Shapes of the key's parts, in order.
        keys: &'static [&'static str],
        /// Shape of the value.
        value: Shape,
    },
    /// A constant.
    Constant {
        /// The pallet.
        pallet: &'static str,
        /// The constant.
        name: &'static str,
        /// Shape of the value.
        value: &'static str,
    },
    /// A method of a runtime API.
    Api {
        /// The API.
        api: &'static str,
        /// The method.
        method: &'static str,
        /// Shapes of the arguments, in order.
        inputs: &'static [&'static str],
        /// Shape of the answer.
        output: Shape,
    },
    /// An event, of which we read fields by name or only that it happened.
    Event {
        /// The pallet.
        pallet: &'static str,
        /// The event.
        name: &'static str,
    },
    /// A dispatch error that we have an advice for.
    Error {
        /// The pallet.
        pallet: &'static str,
        /// The error.
        name: &'static str,
    },
}

/// The shape expected of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Exactly this.
    Is(&'static str),
    /// A struct, perhaps within `Option`, with at least these fields.
    Has(&'static [(&'static str, &'static str)]),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, of, name) = match *self {
            Self::Call { pallet, name, .. } => ("call", pallet, name),
            Self::Storage { pallet, name, .. } => ("storage", pallet, name),
            Self::Constant { pallet, name, .. } => ("constant", pallet, name),
            Self::Api { api, method, .. } => ("api", api, method),
            Self::Event { pallet, name } => ("event", pallet, name),
            Self::Error { pallet, name } => ("error", pallet, name),
        };
        write!(f, "{kind} {of}.{name}")
    }
}

impl Fact {
    /// Whether the fact may be missing from a runtime of this version.
    pub const fn may_be_absent(&self, spec_version: u32) -> bool {
        self.optional
            || spec_version < self.since
            || matches!(self.until, Some(until) if spec_version >= until)
    }
}

/// All facts: the tables below, and an error for every advice.
pub fn facts() -> impl Iterator<Item = Fact> {
    let errors = crate::errors().map(|(pallet, name)| {
        Fact::of(What::Error { pallet, name }).optional("this runtime never answers with it")
    });
    CALLS.iter().chain(STORAGE).chain(APIS).chain(OTHERS).copied().chain(errors)
}

const S: &str = "SubtensorModule";
const ADMIN: &str = "AdminUtils";
const KEY: &str = "[u8; 32]";

/// What we do on runtimes whose epochs follow the block number alone.
const NO_DYNAMIC_TEMPO: &str =
    "the chain is read and no weights are scheduled: epochs followed another rule";

const fn call(
    pallet: &'static str,
    name: &'static str,
    args: &'static [(&'static str, &'static str)],
) -> Fact {
    Fact::of(What::Call { pallet, name, args })
}

const fn storage(name: &'static str, keys: &'static [&'static str], value: &'static str) -> Fact {
    let what = What::Storage { pallet: S, name, keys, value: Shape::Is(value) };
    Fact::of(what)
}

const fn of_subnet(name: &'static str, value: &'static str) -> Fact {
    storage(name, &["u16"], value)
}

impl Fact {
    const fn of(what: What) -> Self {
        Self { what, since: 0, until: None, optional: false, instead: "" }
    }

    /// Runtimes before this one lack it; what we do there.
    const fn since(mut self, spec_version: u32, instead: &'static str) -> Self {
        self.since = spec_version;
        self.instead = instead;
        self
    }

    /// Any runtime may lack it; what we do then.
    const fn optional(mut self, instead: &'static str) -> Self {
        self.optional = true;
        self.instead = instead;
        self
    }
}

const CALLS: &[Fact] = &[
    call(
        S,
        "set_mechanism_weights",
        &[
            ("netuid", "u16"),
            ("mecid", "u8"),
            ("dests", "Vec<u16>"),
            ("weights", "Vec<u16>"),
            ("version_key", "u64"),
        ],
    ),
    call(
        S,
        "commit_mechanism_weights",
        &[("netuid", "u16"), ("mecid", "u8"), ("commit_hash", KEY)],
    ),
    call(
        S,
        "reveal_mechanism_weights",
        &[
            ("netuid", "u16"),
            ("mecid", "u8"),
            ("uids", "Vec<u16>"),
            ("values", "Vec<u16>"),
            ("salt", "Vec<u16>"),
            ("version_key", "u64"),
        ],
    ),
    call(
        S,
        "commit_timelocked_mechanism_weights",
        &[
            ("netuid", "u16"),
            ("mecid", "u8"),
            ("commit", "Vec<u8>"),
            ("reveal_round", "u64"),
            ("commit_reveal_version", "u16"),
        ],
    ),
    call(S, "burned_register", &[("netuid", "u16"), ("hotkey", KEY)]),
    call(S, "register_limit", &[("netuid", "u16"), ("hotkey", KEY), ("limit_price", "u64")])
        .since(397, "register at the present price"),
    call(S, "register_network", &[("hotkey", KEY)]),
    call(S, "start_call", &[("netuid", "u16")]),
    call(
        S,
        "serve_axon",
        &[
            ("netuid", "u16"),
            ("version", "u32"),
            ("ip", "u128"),
            ("port", "u16"),
            ("ip_type", "u8"),
            ("protocol", "u8"),
            ("placeholder1", "u8"),
            ("placeholder2", "u8"),
        ],
    ),
    call(S, "add_stake", &[("hotkey", KEY), ("netuid", "u16"), ("amount_staked", "u64")]),
    call(S, "remove_stake", &[("hotkey", KEY), ("netuid", "u16"), ("amount_unstaked", "u64")]),
    call("Balances", "transfer_keep_alive", &[("dest", "MultiAddress"), ("value", "Compact<u64>")]),
    call("Commitments", "set_commitment", &[("netuid", "u16"), ("info", "Vec<Data>")]),
    call("Utility", "batch_all", &[("calls", "Vec<RuntimeCall>")]),
    call("Sudo", "sudo", &[("call", "RuntimeCall")])
        .optional("a chain without root, as it should be"),
    call(ADMIN, "sudo_set_tempo", &[("netuid", "u16"), ("tempo", "u16")]),
    call(
        ADMIN,
        "sudo_set_weights_set_rate_limit",
        &[("netuid", "u16"), ("weights_set_rate_limit", "u64")],
    ),
    call(
        ADMIN,
        "sudo_set_commit_reveal_weights_enabled",
        &[("netuid", "u16"), ("enabled", "bool")],
    ),
    call(
        ADMIN,
        "sudo_set_commit_reveal_weights_interval",
        &[("netuid", "u16"), ("interval", "u64")],
    ),
    call(ADMIN, "sudo_set_serving_rate_limit", &[("netuid", "u16"), ("serving_rate_limit", "u64")]),
    call(
        ADMIN,
        "sudo_set_min_allowed_weights",
        &[("netuid", "u16"), ("min_allowed_weights", "u16")],
    ),
    call(
        ADMIN,
        "sudo_set_weights_version_key",
        &[("netuid", "u16"), ("weights_version_key", "u64")],
    ),
    call(ADMIN, "sudo_set_immunity_period", &[("netuid", "u16"), ("immunity_period", "u16")]),
];

const STORAGE: &[Fact] = &[
    of_subnet("NetworksAdded", "bool"),
    of_subnet("Tempo", "u16"),
    of_subnet("CommitRevealWeightsEnabled", "bool"),
    of_subnet("RevealPeriodEpochs", "u64"),
    storage("CommitRevealWeightsVersion", &[], "u16"),
    of_subnet("WeightsSetRateLimit", "u64"),
    of_subnet("WeightsVersionKey", "u64"),
    of_subnet("MinAllowedWeights", "u16"),
    of_subnet("MaxAllowedValidators", "u16"),
    of_subnet("MaxAllowedUids", "u16"),
    of_subnet("ActivityCutoffFactorMilli", "u32").since(423, "read ActivityCutoff"),
    of_subnet("ActivityCutoff", "u16").optional("read ActivityCutoffFactorMilli"),
    of_subnet("ImmunityPeriod", "u16"),
    of_subnet("ServingRateLimit", "u64"),
    of_subnet("Kappa", "u16"),
    of_subnet("Burn", "u64"),
    of_subnet("MechanismCountCurrent", "u8"),
    of_subnet("SubtokenEnabled", "bool"),
    of_subnet("Yuma3On", "bool"),
    of_subnet("LiquidAlphaOn", "bool"),
    of_subnet("LastEpochBlock", "u64").since(423, NO_DYNAMIC_TEMPO),
    of_subnet("PendingEpochAt", "u64").since(423, NO_DYNAMIC_TEMPO),
    of_subnet("SubnetEpochIndex", "u64").since(423, NO_DYNAMIC_TEMPO),
    of_subnet("BlocksSinceLastStep", "u64"),
    of_subnet("SubnetworkN", "u16"),
    of_subnet("ValidatorTrust", "Vec<u16>"),
    of_subnet("ValidatorPermit", "Vec<bool>"),
    of_subnet("LastUpdate", "Vec<u64>"),
    storage("Weights", &["u16", "u16"], "Vec<(u16, u16)>"),
    storage("Uids", &["u16", KEY], "u16"),
    storage("StakeThreshold", &[], "u64"),
    storage("WeightCommits", &["u16", KEY], "Vec<([u8; 32], u64, u64, u64)>"),
    storage("TimelockedWeightCommits", &["u16", "u64"], "Vec<([u8; 32], u64, Vec<u8>, u64)>"),
    Fact::of(What::Storage {
        pallet: "System",
        name: "Account",
        keys: &[KEY],
        value: Shape::Has(&[("data", "{free: u64, reserved: u64, frozen: u64, flags: u128}")]),
    }),
    Fact::of(What::Storage {
        pallet: "Timestamp",
        name: "Now",
        keys: &[],
        value: Shape::Is("u64"),
    }),
    Fact::of(What::Storage {
        pallet: "Drand",
        name: "BeaconConfig",
        keys: &[],
        value: Shape::Has(&[("public_key", "Vec<u8>"), ("period", "u32"), ("genesis_time", "u32")]),
    }),
    Fact::of(What::Storage {
        pallet: "Drand",
        name: "LastStoredRound",
        keys: &[],
        value: Shape::Is("u64"),
    }),
    Fact::of(What::Storage {
        pallet: "Drand",
        name: "Pulses",
        keys: &["u64"],
        value: Shape::Has(&[("signature", "Vec<u8>")]),
    }),
    of_subnet("SubnetOwnerHotkey", KEY),
    Fact::of(What::Storage {
        pallet: "Commitments",
        name: "CommitmentOf",
        keys: &["u16", KEY],
        value: Shape::Has(&[("block", "u32"), ("info", "Vec<Data>")]),
    }),
    of_subnet("MaxWeightsLimit", "u16").optional("no single weight is limited"),
];

const METAGRAPH: &[(&str, &str)] = &[
    ("netuid", "Compact<u16>"),
    ("name", "Vec<Compact<u8>>"),
    ("tempo", "Compact<u16>"),
    ("last_step", "Compact<u64>"),
    ("blocks_since_last_step", "Compact<u64>"),
    ("owner_hotkey", KEY),
    ("owner_coldkey", KEY),
    ("max_uids", "Compact<u16>"),
    ("burn", "Compact<u64>"),
    ("tao_in", "Compact<u64>"),
    ("alpha_in", "Compact<u64>"),
    ("alpha_out", "Compact<u64>"),
    ("hotkeys", "Vec<[u8; 32]>"),
    ("coldkeys", "Vec<[u8; 32]>"),
    (
        "axons",
        "Vec<{block: u64, version: u32, ip: u128, port: u16, ip_type: u8, protocol: u8, \
         placeholder1: u8, placeholder2: u8}>",
    ),
    ("active", "Vec<bool>"),
    ("validator_permit", "Vec<bool>"),
    ("last_update", "Vec<Compact<u64>>"),
    ("emission", "Vec<Compact<u64>>"),
    ("dividends", "Vec<Compact<u16>>"),
    ("incentives", "Vec<Compact<u16>>"),
    ("consensus", "Vec<Compact<u16>>"),
    ("block_at_registration", "Vec<Compact<u64>>"),
    ("alpha_stake", "Vec<Compact<u64>>"),
    ("tao_stake", "Vec<Compact<u64>>"),
    ("total_stake", "Vec<Compact<u64>>"),
];

const fn api(
    api: &'static str,
    method: &'static str,
    inputs: &'static [&'static str],
    output: Shape,
) -> Fact {
    Fact::of(What::Api { api, method, inputs, output })
}

const APIS: &[Fact] = &[
    api("SubnetInfoRuntimeApi", "get_metagraph", &["u16"], Shape::Has(METAGRAPH)),
    api(
        "StakeInfoRuntimeApi",
        "get_stake_info_for_hotkey_coldkey_netuid",
        &[KEY, KEY, "u16"],
        Shape::Has(&[("stake", "Compact<u64>")]),
    ),
];

const fn event(pallet: &'static str, name: &'static str) -> Fact {
    Fact::of(What::Event { pallet, name })
}

const OTHERS: &[Fact] = &[
    Fact::of(What::Constant { pallet: "Aura", name: "SlotDuration", value: "u64" }),
    event("System", "ExtrinsicFailed"),
    event("Sudo", "Sudid").optional("a chain without root, as it should be"),
    event("Utility", "BatchInterrupted"),
    event(S, "WeightsSet"),
    event(S, "WeightsRevealed"),
    event(S, "TimelockedWeightsRevealed"),
    event(S, "NeuronRegistered"),
    event(S, "NetworkAdded"),
];
