//! An owner's rules, from the folder over the chain to the validators: the real programs, chain and
//! model.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot start has failed")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use localnet::{Genesis, GenesisSubnet, Localnet, Sealing};
use neuron::{ChainSettings, HealthSettings, Shutdown, WalletSettings};
use serde_json::{Value, json};
use subnet_rules::package::Package;
use subnet_rules::star::Program;
use tokio::sync::watch;
use tokio::task::JoinSet;
use validator::{Config, HOST, Parts, Status};

const GANGLION: &str = env!("CARGO_BIN_EXE_ganglion");
const NETUID: u16 = 1;
const OWNER: &str = "//Alice//hot";

/// Blocks of an epoch.
const TEMPO: u16 = 20;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

fn address(path: &str) -> String {
    chain::Keypair::dev(path).unwrap().hotkey().to_string()
}

fn chain() -> Localnet {
    let neuron = |path: &str, stake: u64| json!({"hotkey": address(path), "coldkey": address(path), "stake": stake});
    let subnet: GenesisSubnet = serde_json::from_value(json!({
        "netuid": NETUID, "owner": address("//Alice"), "owner_hotkey": address(OWNER),
        "started": true, "tempo": TEMPO, "commit_reveal": false, "weights_rate_limit": 0,
        "neurons": [neuron("//Charlie", 1_000_000_000_000), neuron("//Bob", 0)],
    }))
    .unwrap();
    localnet::spawn(localnet::Config {
        port: 0,
        sealing: Sealing::Interval(Duration::from_millis(100)),
        genesis: Genesis { subnets: vec![subnet], ..Genesis::default() },
        ..localnet::Config::default()
    })
    .unwrap()
}

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn miner(url: &str, state: &Path) -> Running {
    let mut command = Command::new(GANGLION);
    command
        .args(["miner", "--network", url, "--netuid", "1", "--wallet-hotkey", "//Bob", "--quiet"])
        .args(["--health=false", "--axon-port", "0", "--require-permit=false"])
        .args(["--state-dir", state.to_str().unwrap()])
        .stdin(Stdio::null());
    Running(command.spawn().unwrap())
}

/// An owner's folder, and the command run in it.
struct Owner<'a> {
    dir: &'a Path,
    url: &'a str,
}

impl Owner<'_> {
    fn rules(&self, args: &[&str]) -> Output {
        Command::new(GANGLION).current_dir(self.dir).arg("rules").args(args).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.rules(args);
        assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn on_chain<'s>(&'s self, args: &[&'s str], hotkey: &'s str) -> Vec<&'s str> {
        let place = ["--network", self.url, "--netuid", "1", "--wallet-hotkey", hotkey];
        args.iter().copied().chain(place).collect()
    }

    /// Publishes a folder; its digest.
    fn publish(&self, rule: &str) -> String {
        let said = self.done(&self.on_chain(&["publish", rule, "--json"], OWNER));
        let said: Value = serde_json::from_str(&said).unwrap();
        assert!(said["block"].as_u64().is_some(), "{said}");
        said["digest"].as_str().unwrap().to_owned()
    }

    /// A rule in Starlark that any answer passes.
    fn write_talk(&self) {
        self.done(&["new", "talk", "--from", "ledger"]);
        let folder = self.dir.join("talk");
        for file in ["cases.json", "cast.star"] {
            std::fs::remove_file(folder.join(file)).unwrap();
        }
        std::fs::write(
            folder.join("rule.toml"),
            r#"
name = "talk"
version = 1
code = "starlark"
[tracks.spoke]
role = "factor"
estimator = { ema = { alpha = 0.5 } }
[pay]
shape = { proportional = { exponent = 1.0 } }
[examine]
every = 3
draws = 2
"#,
        )
        .unwrap();
        std::fs::write(
            folder.join("rule.star"),
            r#"
def draw(subject, state):
    """Any few words."""
    return {"public": {"prompt": "Say %d." % prf.below(10), "max_tokens": 8}, "secret": state}

def judge(draw, replies, state):
    """Words are words."""
    return [score(reply["miner"], "spoke", 1 if reply["text"] else 0) for reply in replies]

def learn(state, draw, replies):
    """How often it was asked."""
    return (state or 0) + len(replies)
"#,
        )
        .unwrap();
    }
}

/// The logs of measurements in a folder.
fn logs(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_str().unwrap().ends_with("-log.jsonl")).collect()
}

/// What was measured replays to the same weights, and measures again to the same numbers.
fn replays(owner: &Owner<'_>, audit: &Path) {
    let mut settled = 0;
    for log in logs(audit) {
        let log = log.to_str().unwrap();
        let said = owner.done(&["replay", log]);
        settled += usize::from(!said.contains(" 0 epochs settled"));
        if said.starts_with("serve") || said.starts_with("mine") {
            let said = owner.done(&["remeasure", log, "--model", "tiny", "--json", "--quiet"]);
            let said: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said["agrees"], true, "{said}");
        } else {
            assert!(said.starts_with("talk"), "{said}");
            assert_eq!(owner.rules(&["remeasure", log, "--quiet"]).status.code(), Some(2));
        }
    }
    assert!(settled >= 2, "{settled} logs tell of weights");
}

/// A validator in this process.
struct Watching {
    status: watch::Receiver<Status>,
    shutdown: Shutdown,
    running: JoinSet<Result<(), validator::Error>>,
}

fn validate(url: &str, state: &Path, follow: bool) -> Watching {
    let config = Config {
        chain: ChainSettings { endpoint: Some(url.to_owned()), ..ChainSettings::default() },
        wallet: WalletSettings { hotkey: "//Charlie".into(), ..WalletSettings::default() },
        health: HealthSettings { enabled: false, ..HealthSettings::default() },
        state: validator::State { dir: state.to_owned(), audit: Some(state.join("audit")) },
        rule: validator::RuleSettings { follow, ..validator::RuleSettings::default() },
        ..Config::default()
    };
    let hotkey = chain::Keypair::dev("//Charlie").unwrap().hotkey();
    let (sender, status) = watch::channel(Status::waiting(hotkey));
    let host = Some(Program::new(GANGLION, &HOST));
    let mut package = Package::shipped("serve").unwrap();
    (package.manifest.examine.every, package.manifest.examine.draws) = (Some(3), Some(2));
    let package = Some(package);
    let parts = Parts { status: Some(sender), host, package, ..Parts::default() };
    let shutdown = Shutdown::new();
    let mut running = JoinSet::new();
    running.spawn(validator::run_with(config, parts, shutdown.clone()));
    Watching { status, shutdown, running }
}

impl Watching {
    async fn until(&mut self, what: &str, seen: impl Fn(&Status) -> bool) -> Status {
        let mut status = self.status.clone();
        let waited = tokio::time::timeout(PATIENCE, status.wait_for(seen)).await;
        match waited.map(|status| status.map(|status| status.clone())) {
            Ok(Ok(status)) => status,
            Ok(_) => panic!("{what}: the validator ended: {:?}", self.running.try_join_next()),
            Err(late) => panic!("{what}: {late}: {:?}", self.status.borrow()),
        }
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        self.running.join_next().await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_adopt_what_the_owner_publishes() {
    let (node, dir) = (chain(), tempfile::tempdir().unwrap());
    let url = node.url();
    let owner = Owner { dir: dir.path(), url: &url };
    let _miner = miner(&url, &dir.path().join("miner"));
    let state = dir.path().join("validator");
    let mut validator = validate(&url, &state, true);
    let first = validator.until("it starts", |status| !status.rule_digest.is_empty()).await;
    assert!(first.rule.starts_with("serve"), "{}", first.rule);

    // A rule in Starlark, adopted while the validator runs; its own process judges, and it is paid.
    owner.write_talk();
    let talk = owner.publish("talk");
    validator.until("the rule in Starlark is adopted", |now| now.rule_digest == talk).await;
    let paid = |now: &Status| {
        now.weights_set > first.weights_set && now.miners.iter().any(|one| one.score == Some(1.0))
    };
    let now = validator.until("it pays", paid).await;
    assert_eq!((now.rule.as_str(), now.rule_differs), ("talk v1", None));

    // A stranger can fetch it, and it is the same.
    owner.done(&owner.on_chain(&["pull", "--output", "pulled"], "//Bob"));
    let same = |file: &str| {
        let text =
            |folder: &str| std::fs::read_to_string(dir.path().join(folder).join(file)).unwrap();
        assert_eq!(text("talk"), text("pulled"), "{file}");
    };
    same("rule.star");
    same("rule.sig");

    // A rule for a model that this validator does not have is named, and the old one goes on.
    owner.done(&["new", "mine", "--from", "serve"]);
    let refused = owner.rules(&owner.on_chain(&["publish", "mine"], OWNER));
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("rules calibrate"), "{refused:?}");
    owner.done(&["calibrate", "mine", "--model", "tiny"]);
    let manifest = dir.path().join("mine/rule.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("[examine]", "[examine]\nevery = 3")).unwrap();
    let calibrated = std::fs::read_to_string(&manifest).unwrap();
    let model = calibrated.split("model = \"").nth(1).unwrap().split(':').next().unwrap();
    std::fs::write(&manifest, calibrated.replace(model, &"ab".repeat(32))).unwrap();
    owner.publish("mine");
    let differs = |now: &Status| now.rule_differs.as_ref().is_some_and(|why| why.contains("model"));
    let now = validator.until("the other model is named", differs).await;
    assert_eq!(now.rule_digest, talk);

    // The same rule for the model that it has.
    std::fs::write(&manifest, &calibrated).unwrap();
    let mine = owner.publish("mine");
    validator.until("the rule of serve is adopted", |now| now.rule_digest == mine).await;
    let begun = validator.status.borrow().rounds;
    validator.until("it asks by it", |now| now.rounds > begun + 2).await;
    validator.stop().await;

    replays(&owner, &state.join("audit"));

    // It stays adopted, though nobody has the files any more.
    std::fs::remove_dir_all(dir.path().join("mine")).unwrap();
    let mut again = validate(&url, &state, true);
    let now = again.until("it starts again", |status| !status.rule_digest.is_empty()).await;
    assert_eq!((now.rule_digest, now.rule_differs), (mine, None));
    again.stop().await;

    // One that does not follow says so.
    let mut stubborn = validate(&url, &dir.path().join("stubborn"), false);
    let now = stubborn.until("it says so", |status| status.rule_differs.is_some()).await;
    assert!(now.rule_differs.unwrap().contains("--follow-rule"));
    stubborn.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_the_owner_publishes_nothing() {
    let (node, dir) = (chain(), tempfile::tempdir().unwrap());
    let url = node.url();
    let owner = Owner { dir: dir.path(), url: &url };
    owner.write_talk();
    let refused = owner.rules(&owner.on_chain(&["publish", "talk"], "//Bob"));
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&address(OWNER)), "{refused:?}");
    let nothing = owner.rules(&owner.on_chain(&["pull"], "//Bob"));
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no rule"), "{nothing:?}");
    let dry = owner.done(&owner.on_chain(&["publish", "talk", "--dry-run", "--json"], OWNER));
    assert_eq!(serde_json::from_str::<Value>(&dry).unwrap()["block"], Value::Null);
    assert!(PathBuf::from(dir.path()).join("talk/rule.sig").exists());
    let nothing = owner.rules(&owner.on_chain(&["pull"], "//Bob"));
    assert_eq!(nothing.status.code(), Some(1), "a dry run leaves the chain alone");
}

#[test]
fn a_season_on_a_chain_is_the_season_in_process() {
    let play = |more: &[&str]| -> Value {
        let season = ["arena", "forge", "--epochs", "6", "--seed", "9", "--json"];
        let args = season.iter().chain(more);
        let done = Command::new(GANGLION).arg("rules").args(args).output().unwrap();
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    };
    let (in_process, on_chain) = (play(&[]), play(&["--on-chain"]));
    assert_eq!(on_chain["apart_from_chain"], 0.0);
    assert_eq!(in_process["apart_from_chain"], Value::Null);
    assert_eq!(on_chain["actors"], in_process["actors"]);
    assert_eq!(on_chain["log_digest"], in_process["log_digest"]);
    let honest = &on_chain["actors"][0];
    assert!(honest["kind"] == "honest" && honest["share"].as_f64() > Some(0.3), "{honest}");
}
