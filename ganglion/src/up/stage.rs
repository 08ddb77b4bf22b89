//! Setting the stage: a chain, wallets on disk, a subnet of our own, and neurons with slots.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use chain::{
    Call, Chain, ConnectOptions, Inclusion,
    wallet::{Keypair, NewKey, Wallet},
};
use chain_metadata::{Hotkey, NetUid, Tao, Uid};
use futures::future::try_join_all;
use localnet::{Localnet, Sealing};
use scale_value::Value;
use scoring::pay::Shape;
use subnet_rules::arena::Kind;
use subnet_rules::package::Package;
use tempfile::TempDir;

use super::{
    args::UpArgs,
    error::UpError,
    report::{Setting, tao},
};

/// What each coldkey starts with: a registration at a price that others have driven up, a
/// validator's stake, and fees.
const PURSE: Tao = Tao(5_000 * 1_000_000_000);

/// What a validator stakes: more than the miners earn in a day of `up`, so that the validators
/// stay the majority of stake and hold the permits.
const VALIDATOR_STAKE: Tao = Tao(1_000 * 1_000_000_000);

/// Name of each wallet's hotkey, as btcli calls the first one.
pub(super) const HOTKEY: &str = "default";

/// A neuron's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Answers.
    Miner(Kind),
    /// Asks.
    Validator,
}

/// One neuron of the cast, with its keys and its slot.
#[derive(Debug, Clone)]
pub(super) struct Player {
    /// Name of its wallet.
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) hotkey: Hotkey,
    pub(super) uid: Uid,
}

/// A subnet ready to be played on.
#[derive(Debug)]
pub(super) struct Stage {
    localnet: Localnet,
    pub(super) chain: Chain,
    pub(super) netuid: NetUid,
    pub(super) players: Vec<Player>,
    pub(super) settings: Vec<Setting>,
    folder: Folder,
}

/// Where wallets and state live.
#[derive(Debug)]
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn open(keep: Option<&Path>) -> Result<Self, UpError> {
        let io = |what| move |source| UpError::Io { what, source };
        match keep {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(io("creating the folder to keep"))?;
                let path = path.canonicalize().map_err(io("reading the folder to keep"))?;
                Ok(Self::Kept(path))
            }
            None => TempDir::with_prefix("ganglion-up-")
                .map(Self::Temporary)
                .map_err(io("creating a temporary folder")),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// Starts the chain and brings it to where miners and validators can be started.
pub(super) async fn set(args: &UpArgs, rule: &Package) -> Result<Stage, UpError> {
    let folder = Folder::open(args.keep.as_deref())?;
    let localnet = localnet::spawn(localnet::Config {
        port: args.port,
        sealing: Sealing::Interval(Duration::from_millis(args.block_ms)),
        ..localnet::Config::default()
    })?;
    let chain = Chain::connect(&[localnet.url()], ConnectOptions::default()).await?;
    let alice = Keypair::dev("//Alice")?;
    let owner = wallet(folder.path(), "owner")?;
    let cast = parts(args);
    let wallets =
        cast.iter().map(|(name, _)| wallet(folder.path(), name)).collect::<Result<Vec<_>, _>>()?;
    fund(&chain, &alice, wallets.iter().chain([&owner])).await?;
    let netuid = found(&chain, &owner).await?;
    let settings = tune(args, rule, &chain, netuid, &alice, &owner).await?;
    submit(&chain, &Call::start_call(netuid), &owner.cold, "starting the subnet").await?;
    try_join_all(wallets.iter().map(|wallet| async {
        let call = Call::burned_register(netuid, &wallet.hot.hotkey());
        submit(&chain, &call, &wallet.cold, "a registration").await
    }))
    .await?;
    stake(&chain, netuid, cast.iter().zip(&wallets)).await?;
    let players = seat(&chain, netuid, cast, &wallets).await?;
    Ok(Stage { localnet, chain, netuid, players, settings, folder })
}

/// A wallet's two keys. On this chain of our own the coldkey lies in clear beside the hotkey.
struct Keys {
    name: String,
    cold: Keypair,
    hot: Keypair,
}

/// Reads the wallet of a kept folder, or writes a new one as btcli lays it out.
fn wallet(folder: &Path, name: &str) -> Result<Keys, UpError> {
    let failed = |source| UpError::Wallet { name: name.to_owned(), source };
    let path = wallets(folder);
    let place = if path.join(name).exists() {
        Wallet::open(&path, name, HOTKEY).map_err(failed)?
    } else {
        let (cold, hot) = (NewKey::generate(), NewKey::generate());
        Wallet::create(&path, name, HOTKEY, &cold, &hot, None).map_err(failed)?
    };
    Ok(Keys {
        name: name.to_owned(),
        cold: place.unlock_coldkey(None).map_err(failed)?,
        hot: place.hotkey().map_err(failed)?,
    })
}

fn wallets(folder: &Path) -> PathBuf {
    folder.join("wallets")
}

/// Names and roles, in the order they are shown.
fn parts(args: &UpArgs) -> Vec<(String, Role)> {
    let mut cast = Vec::new();
    for wanted in &args.miners {
        let name = wanted.kind.name();
        for _ in 0..wanted.count {
            let number =
                1 + cast.iter().filter(|(_, role)| *role == Role::Miner(wanted.kind)).count();
            cast.push((format!("{name}-{number}"), Role::Miner(wanted.kind)));
        }
    }
    cast.extend((1..=args.validators).map(|n| (format!("validator-{n}"), Role::Validator)));
    cast
}

async fn fund<'a>(
    chain: &Chain,
    from: &Keypair,
    wallets: impl Iterator<Item = &'a Keys>,
) -> Result<(), UpError> {
    let gifts = wallets.map(|wallet| Call::transfer(&wallet.cold.coldkey(), PURSE));
    submit(chain, &Call::batch_all(gifts), from, "funding the wallets").await.map(drop)
}

/// Registers a subnet and reads its number from the event.
async fn found(chain: &Chain, owner: &Keys) -> Result<NetUid, UpError> {
    let call = Call::register_network(&owner.hot.hotkey());
    let inclusion = submit(chain, &call, &owner.cold, "registering the subnet").await?;
    inclusion
        .event("SubtensorModule", "NetworkAdded")
        .and_then(|event| event.fields.values().next().and_then(number))
        .and_then(|netuid| u16::try_from(netuid).ok())
        .map(NetUid)
        .ok_or(UpError::NoSubnet)
}

/// The integer within a value, through any newtype around it.
fn number(value: &Value<()>) -> Option<u128> {
    match &value.value {
        scale_value::ValueDef::Primitive(primitive) => primitive.as_u128(),
        scale_value::ValueDef::Composite(fields) => fields.values().next().and_then(number),
        _ => None,
    }
}

/// Makes the subnet quick enough to watch, and says what was changed.
async fn tune(
    args: &UpArgs,
    rule: &Package,
    chain: &Chain,
    netuid: NetUid,
    root: &Keypair,
    owner: &Keys,
) -> Result<Vec<Setting>, UpError> {
    let value = |n: u128| Value::u128(n);
    let subnet = || ("netuid", Value::u128(netuid.0.into()));
    let validators = u128::from(args.validators);
    let by_root = [
        ("tempo", "sudo_set_tempo", "tempo", value(args.tempo.into())),
        (
            "weights rate limit",
            "sudo_set_weights_set_rate_limit",
            "weights_set_rate_limit",
            value(1),
        ),
        (
            "validator permits",
            "sudo_set_max_allowed_validators",
            "max_allowed_validators",
            value(validators),
        ),
        ("serving rate limit", "sudo_set_serving_rate_limit", "serving_rate_limit", value(0)),
    ];
    let mut settings: Vec<Setting> = Vec::new();
    let mut calls = Vec::new();
    for (name, call, argument, new) in by_root {
        settings.push(Setting { name, value: new.to_string(), call, by: "root" });
        calls.push(Call::sudo(Call::admin(call, [subnet(), (argument, new)])));
    }
    let shares = mechanism_shares(rule);
    if shares.len() > 1 {
        let count = Value::u128(shares.len() as u128);
        // A chain has so many slots in all mechanisms of a subnet.
        for (name, call, argument, new) in [
            ("most mechanisms", "sudo_set_max_mechanism_count", "max_mechanism_count", &count),
            ("most neurons", "sudo_set_max_allowed_uids", "max_allowed_uids", &value(64)),
        ] {
            settings.push(Setting { name, value: new.to_string(), call, by: "root" });
            let argument = (argument, new.clone());
            let arguments = match name {
                "most mechanisms" => vec![argument],
                _ => vec![subnet(), argument],
            };
            calls.push(Call::sudo(Call::admin(call, arguments)));
        }
        let call = "sudo_set_mechanism_count";
        settings.push(Setting { name: "mechanisms", value: count.to_string(), call, by: "root" });
        let count = ("mechanism_count", count);
        calls.push(Call::sudo(Call::admin(call, [subnet(), count])));
        let call = "sudo_set_mechanism_emission_split";
        let split = shares.iter().map(|share| value((*share).into()));
        let split = Value::unnamed_variant("Some", [Value::unnamed_composite(split)]);
        settings.push(Setting {
            name: "emission split",
            value: format!("{shares:?}"),
            call,
            by: "root",
        });
        calls.push(Call::sudo(Call::admin(call, [subnet(), ("maybe_split", split)])));
    }
    submit(chain, &Call::batch_all(calls), root, "tuning the subnet as root").await?;
    let call = "sudo_set_commit_reveal_weights_enabled";
    let off = Call::admin(call, [subnet(), ("enabled", Value::bool(false))]);
    submit(chain, &off, &owner.cold, "turning commit-reveal off").await?;
    settings.push(Setting { name: "commit-reveal", value: "off".into(), call, by: "the owner" });
    Ok(settings)
}

/// The emission of each mechanism, in the classes' order, of `u16::MAX`; what is left of the whole goes to
/// the first ones, a unit each.
fn mechanism_shares(rule: &Package) -> Vec<u16> {
    let Shape::Quota { classes } = &rule.manifest.pay.shape else { return Vec::new() };
    let whole: f64 = classes.values().sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of u16::MAX"
    )]
    let share = |share: &f64| (f64::from(u16::MAX) * share / whole).floor() as u16;
    let mut shares: Vec<u16> = classes.values().map(share).collect();
    let left = u16::MAX - shares.iter().sum::<u16>();
    shares.iter_mut().take(left.into()).for_each(|share| *share += 1);
    shares
}

async fn stake(
    chain: &Chain,
    netuid: NetUid,
    cast: impl Iterator<Item = (&(String, Role), &Keys)>,
) -> Result<(), UpError> {
    let validators = cast.filter(|((_, role), _)| *role == Role::Validator);
    try_join_all(validators.map(|(_, wallet)| async {
        let call = Call::add_stake(&wallet.hot.hotkey(), netuid, VALIDATOR_STAKE);
        submit(chain, &call, &wallet.cold, "a validator's stake").await
    }))
    .await
    .map(drop)
}

/// Finds everybody's slot.
async fn seat(
    chain: &Chain,
    netuid: NetUid,
    cast: Vec<(String, Role)>,
    wallets: &[Keys],
) -> Result<Vec<Player>, UpError> {
    let metagraph = chain.metagraph(netuid, None).await?;
    cast.into_iter()
        .zip(wallets)
        .map(|((name, role), wallet)| {
            let hotkey = wallet.hot.hotkey();
            match metagraph.uid_of(&hotkey) {
                Some(uid) => Ok(Player { name, role, hotkey, uid }),
                None => Err(UpError::NoSlot { name: wallet.name.clone(), netuid }),
            }
        })
        .collect()
}

async fn submit(
    chain: &Chain,
    call: &Call,
    signer: &Keypair,
    step: &'static str,
) -> Result<Inclusion, UpError> {
    chain
        .submit(call, signer)
        .await
        .map_err(|source| UpError::Submit { step, source: Box::new(source) })
}

impl Stage {
    /// Where clients connect.
    pub(super) fn endpoint(&self) -> String {
        self.localnet.url()
    }

    /// Folder of the wallets, as btcli's `--wallet-path` takes it.
    pub(super) fn wallets(&self) -> PathBuf {
        wallets(self.folder.path())
    }

    /// A folder of its own for a neuron's state.
    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join("state").join(name)
    }

    /// What was set up, for a person.
    pub(super) fn describe(&self) -> String {
        let mut text = format!(
            "chain    {}\nsubnet   {}\nwallets  {}\nstake    {} by each validator\n",
            self.endpoint(),
            self.netuid,
            self.wallets().display(),
            tao(VALIDATOR_STAKE),
        );
        for setting in &self.settings {
            let Setting { name, value, call, by } = setting;
            writeln!(text, "set      {name} = {value} by AdminUtils.{call} ({by})")
                .expect("writing to a String cannot fail");
        }
        text
    }

    /// Stops the chain; a temporary folder goes with it.
    pub(super) async fn close(self) {
        // Stopping joins the author's thread: not on the threads of the async runtime.
        let localnet = self.localnet;
        if tokio::task::spawn_blocking(move || drop(localnet)).await.is_err() {
            tracing::warn!("the chain stopped in disorder");
        }
    }
}
