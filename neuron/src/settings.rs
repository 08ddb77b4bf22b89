//! Layered settings: flag > environment > file > default, and the origin of every value.
//!
//! A program declares its settings once, as a table. The table makes the flags, the environment
//! names and the lines of `config show`; a serde struct with `deny_unknown_fields` makes the file's
//! schema and holds the result.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Longest configuration file that is read: a hundred times what a full one needs.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a setting holds, before the struct checks its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A decimal number.
    Number,
    /// `true` or `false`; as a flag, the name alone means `true`.
    Switch,
    /// Texts, separated by commas.
    List,
}

/// One value an operator can set.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted key in the file, e.g. `axon.port`.
    pub key: &'static str,
    /// Long flag without dashes.
    pub flag: &'static str,
    /// One-letter flag, as users of btcli know it.
    pub short: Option<char>,
    /// Older spellings that are still accepted (`wallet.name`), hidden from help.
    pub aliases: &'static [&'static str],
    /// Environment names of the field (`BT_NETWORK`), strongest first. Beside them every setting
    /// answers to the program's own name for it, see [`Setting::own_env`].
    pub env: &'static [&'static str],
    /// What the value is.
    pub kind: Kind,
    /// One sentence for `--help`.
    pub help: &'static str,
}

impl Setting {
    /// The program's own environment name: `GANGLION_MINER_AXON_PORT` for `axon.port`.
    pub fn own_env(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.key.replace('.', "_").to_uppercase())
    }

    fn parse(&self, raw: &str) -> Result<Value, String> {
        match self.kind {
            Kind::Text => Ok(Value::String(raw.to_owned())),
            Kind::Integer => raw.parse().map(Value::Integer).map_err(|e| e.to_string()),
            Kind::Number => match raw.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Float(number)),
                Ok(_) => Err("not a finite number".to_owned()),
                Err(e) => Err(e.to_string()),
            },
            Kind::Switch => match raw {
                "true" | "1" | "yes" | "on" => Ok(Value::Boolean(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Boolean(false)),
                _ => Err("neither true nor false".to_owned()),
            },
            Kind::List => Ok(Value::Array(
                raw.split(',').filter(|s| !s.is_empty()).map(|s| Value::String(s.into())).collect(),
            )),
        }
    }

    fn arg(&self, prefix: &str) -> Arg {
        let names: Vec<String> =
            self.env.iter().map(ToString::to_string).chain([self.own_env(prefix)]).collect();
        let arg = Arg::new(self.key)
            .long(self.flag)
            .short(self.short)
            .aliases(self.aliases.iter().copied())
            .help(format!("{} [env: {}]", self.help, names.join(", ")))
            .action(ArgAction::Set);
        match self.kind {
            Kind::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("BOOL"),
            Kind::Integer | Kind::Number => arg.value_name("N").allow_negative_numbers(true),
            Kind::Text => arg.value_name("VALUE"),
            Kind::List => arg.value_name("A,B"),
        }
    }
}

/// A program's settings: the struct that holds them and the table that names them.
pub trait Settings: Serialize + DeserializeOwned + Default {
    /// Every setting. Each key is a field of the struct.
    fn table() -> Vec<Setting>;
    /// Prefix of the program's own environment names, e.g. `GANGLION_MINER_`.
    const ENV_PREFIX: &'static str;
}

/// The settings given as flags. A `clap::Args` made from the program's table, so it can be
/// flattened into any command.
pub struct Flags<S> {
    given: Vec<(Setting, String)>,
    settings: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Flags<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.given.iter().map(|(s, raw)| (s.flag, raw))).finish()
    }
}

impl<S> Clone for Flags<S> {
    fn clone(&self) -> Self {
        Self { given: self.given.clone(), settings: PhantomData }
    }
}

impl<S> Default for Flags<S> {
    fn default() -> Self {
        Self { given: Vec::new(), settings: PhantomData }
    }
}

impl<S: Settings> clap::FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = S::table()
            .into_iter()
            .filter(|s| matches.value_source(s.key) == Some(ValueSource::CommandLine))
            .filter_map(|s| matches.get_one::<String>(s.key).map(|raw| (s, raw.clone())))
            .collect();
        Ok(Self { given, settings: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<S: Settings> clap::Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        command.args(S::table().iter().map(|s| s.arg(S::ENV_PREFIX)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file at this path.
    File(PathBuf),
    /// The environment variable of this name.
    Env(String),
    /// The flag of this name.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "${name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// Why settings could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any configuration.
    #[error("the configuration file {path} holds {bytes} bytes, more than {MAX_FILE_BYTES}")]
    TooLarge {
        /// Its path.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is not TOML, or holds a key or value that does not exist.
    #[error("the configuration file {path} is wrong:\n{source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// Line, column and expectation.
        source: Box<toml::de::Error>,
    },
    /// A flag or environment variable holds a value the setting cannot take.
    #[error("{origin}: `{raw}` is no value for `{key}`: {why}")]
    Value {
        /// Which flag or variable.
        origin: Origin,
        /// The setting's key.
        key: &'static str,
        /// The text as given.
        raw: String,
        /// What was expected.
        why: String,
    },
    /// An environment variable with the program's prefix that names no setting.
    #[error("the environment variable {name} names no setting")]
    UnknownEnv {
        /// Its name.
        name: String,
    },
    /// The defaults themselves do not serialise: a defect of the program.
    #[error("the default settings are inconsistent")]
    Defaults(#[source] Box<toml::ser::Error>),
}

/// Settings with the origin of each.
#[derive(Debug, Clone)]
pub struct Resolved<S> {
    /// The settings.
    pub value: S,
    origins: BTreeMap<&'static str, Origin>,
    merged: Table,
}

impl<S: Settings> Resolved<S> {
    /// Where the setting `key` came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// `config show`: a valid TOML file of all settings, each line with its origin as a comment.
    pub fn show(&self) -> String {
        let mut lines = Vec::new();
        let mut section = "";
        for setting in S::table() {
            let (here, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
            if here != section {
                lines.push(format!("{}[{here}]", if lines.is_empty() { "" } else { "\n" }));
                section = here;
            }
            let origin = self.origin(setting.key);
            lines.push(match lookup(&self.merged, setting.key) {
                Some(value) => format!("{:<48} # {origin}", format!("{name} = {value}")),
                None => format!("{:<48} # not set", format!("# {name} =")),
            });
        }
        lines.join("\n") + "\n"
    }
}

/// Merges the four layers.
///
/// `environment` is every variable of the process; names under the program's prefix that name no
/// setting are refused, as they are typing mistakes that would otherwise be silent.
pub fn resolve<S: Settings>(
    flags: &Flags<S>,
    environment: &[(String, String)],
    file: Option<&Path>,
) -> Result<Resolved<S>, SettingsError> {
    let merged = Table::try_from(S::default()).map_err(|e| SettingsError::Defaults(Box::new(e)))?;
    let mut layers = Layers { merged, origins: BTreeMap::new() };
    if let Some(path) = file {
        layers.overlay_file::<S>(path)?;
    }
    for (setting, name, raw) in from_environment::<S>(environment)? {
        layers.overlay::<S>(&setting, &raw, Origin::Env(name))?;
    }
    for (setting, raw) in &flags.given {
        layers.overlay::<S>(setting, raw, Origin::Flag(setting.flag))?;
    }
    let value = S::deserialize(Value::Table(layers.merged.clone())).map_err(|e| {
        SettingsError::File { path: file.map(Into::into).unwrap_or_default(), source: Box::new(e) }
    })?;
    Ok(Resolved { value, origins: layers.origins, merged: layers.merged })
}

struct Layers {
    merged: Table,
    origins: BTreeMap<&'static str, Origin>,
}

impl Layers {
    fn overlay_file<S: Settings>(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = read_bounded(path)?;
        let wrong = |e| SettingsError::File { path: path.into(), source: Box::new(e) };
        toml::from_str::<S>(&text).map_err(wrong)?;
        let table: Table = toml::from_str(&text).map_err(wrong)?;
        for setting in S::table() {
            if let Some(value) = lookup(&table, setting.key) {
                insert(&mut self.merged, setting.key, value.clone());
                self.origins.insert(setting.key, Origin::File(path.into()));
            }
        }
        Ok(())
    }

    /// Takes one value over, and checks the struct at once so that the culprit can be named.
    fn overlay<S: Settings>(
        &mut self,
        setting: &Setting,
        raw: &str,
        origin: Origin,
    ) -> Result<(), SettingsError> {
        let refuse = |why: String| SettingsError::Value {
            origin: origin.clone(),
            key: setting.key,
            raw: raw.to_owned(),
            why,
        };
        let value = setting.parse(raw).map_err(refuse)?;
        insert(&mut self.merged, setting.key, value);
        S::deserialize(Value::Table(self.merged.clone()))
            .map_err(|e| refuse(e.message().to_owned()))?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }
}

fn read_bounded(path: &Path) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.into(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(SettingsError::TooLarge { path: path.into(), bytes });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn from_environment<S: Settings>(
    environment: &[(String, String)],
) -> Result<Vec<(Setting, String, String)>, SettingsError> {
    let table = S::table();
    let value_of = |name: &str| {
        environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone())
    };
    if let Some((name, _)) = environment.iter().find(|(name, _)| {
        name.starts_with(S::ENV_PREFIX) && !table.iter().any(|s| &s.own_env(S::ENV_PREFIX) == name)
    }) {
        return Err(SettingsError::UnknownEnv { name: name.clone() });
    }
    Ok(table
        .into_iter()
        .filter_map(|setting| {
            let own = setting.own_env(S::ENV_PREFIX);
            let names = std::iter::once(own).chain(setting.env.iter().map(ToString::to_string));
            names.into_iter().find_map(|name| value_of(&name).map(|raw| (setting, name, raw)))
        })
        .collect())
}

fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        Some((section, rest)) => lookup(table.get(section)?.as_table()?, rest),
        None => table.get(key),
    }
}

fn insert(table: &mut Table, key: &str, value: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Oven {
        heat: u16,
        timer: Option<u64>,
        tray: Tray,
    }

    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Tray {
        names: Vec<String>,
        greased: bool,
    }

    impl Default for Oven {
        fn default() -> Self {
            Self { heat: 180, timer: None, tray: Tray::default() }
        }
    }

    impl Settings for Oven {
        const ENV_PREFIX: &'static str = "GANGLION_OVEN_";

        fn table() -> Vec<Setting> {
            let setting = |key, flag, env, kind| Setting {
                key,
                flag,
                short: None,
                aliases: &[],
                env,
                kind,
                help: "",
            };
            vec![
                setting("heat", "heat", &["BT_HEAT"], Kind::Integer),
                setting("timer", "timer", &[], Kind::Integer),
                setting("tray.names", "tray-names", &[], Kind::List),
                setting("tray.greased", "tray-greased", &[], Kind::Switch),
            ]
        }
    }

    fn flags(line: &[&str]) -> Flags<Oven> {
        let command = Flags::<Oven>::augment_args(Command::new("oven").no_binary_name(true));
        Flags::from_arg_matches(&command.get_matches_from(line)).unwrap()
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
        let file = file("heat = 1\ntimer = 1\n[tray]\nnames = [\"a\"]\n");
        let resolved = resolve(
            &flags(&["--heat", "3"]),
            &env(&[("BT_HEAT", "2"), ("GANGLION_OVEN_TIMER", "2")]),
            Some(file.path()),
        )
        .unwrap();
        assert_eq!(
            resolved.value,
            Oven {
                heat: 3,
                timer: Some(2),
                tray: Tray { names: vec!["a".into()], greased: false }
            }
        );
        assert_eq!(resolved.origin("heat"), Origin::Flag("heat"));
        assert_eq!(resolved.origin("timer"), Origin::Env("GANGLION_OVEN_TIMER".into()));
        assert_eq!(resolved.origin("tray.names"), Origin::File(file.path().into()));
        assert_eq!(resolved.origin("tray.greased"), Origin::Default);
    }

    #[test]
    fn what_config_show_prints_is_a_file_that_resolves_to_the_same_settings() {
        let shown = resolve(&flags(&["--tray-greased", "--tray-names", "x,y"]), &[], None).unwrap();
        let file = file(&shown.show());
        let again = resolve(&flags(&[]), &[], Some(file.path())).unwrap();
        assert_eq!(shown.value, again.value);
    }

    #[test]
    fn an_unknown_key_in_the_file_is_named_with_its_line() {
        let file = file("heat = 1\nheet = 2\n");
        let error = resolve(&flags(&[]), &[], Some(file.path())).unwrap_err();
        assert!(matches!(&error, SettingsError::File { source, .. }
            if source.message().contains("heet") && source.span() == Some(9..13)));
    }

    #[test]
    fn a_misspelt_environment_name_is_refused() {
        let error = resolve(&flags(&[]), &env(&[("GANGLION_OVEN_HEET", "1")]), None).unwrap_err();
        assert!(
            matches!(error, SettingsError::UnknownEnv { name } if name == "GANGLION_OVEN_HEET")
        );
    }

    #[test]
    fn a_value_out_of_range_names_the_flag_that_gave_it() {
        let error = resolve(&flags(&["--heat", "70000"]), &[], None).unwrap_err();
        assert!(matches!(error, SettingsError::Value { origin: Origin::Flag("heat"), .. }));
    }
}
