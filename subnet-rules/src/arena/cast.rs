//! Who plays: kinds of actors, and the text form `honest:8,lazy:2,sybil:4x3`.

use std::fmt;
use std::str::FromStr;

use chain_metadata::{Hotkey, Uid};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Most identities in a season: a subnet has 256 slots, and some are the validators'.
pub(super) const IDENTITIES_MAX: usize = 192;

/// Actor name in bounds for all kinds that cheat, together.
pub(super) const CHEATS: &str = "cheats";

/// Actor name for everything that was burned.
pub(super) const BURN: &str = "burn";

/// A kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Does what the rule pays for.
    Honest,
    /// Answers without work.
    Lazy,
    /// Answers what others answered.
    Copier,
    /// Several identities on the means of one.
    Sybil,
    /// Makes cheap work look like the real one.
    Forger,
    /// Does the work with cheaper means than it names.
    Substitute,
    /// Sends what is malformed, to harm.
    Poison,
    /// Ends its answer at once: the cheapest whole one there is.
    EarlyEnd,
    /// Answers nothing and has validators in league.
    Colluder,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Honest,
        Self::Lazy,
        Self::Copier,
        Self::Sybil,
        Self::Forger,
        Self::Substitute,
        Self::Poison,
        Self::EarlyEnd,
        Self::Colluder,
    ];

    /// The name in casts and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Lazy => "lazy",
            Self::Copier => "copier",
            Self::Sybil => "sybil",
            Self::Forger => "forger",
            Self::Substitute => "substitute",
            Self::Poison => "poison",
            Self::EarlyEnd => "early-end",
            Self::Colluder => "colluder",
        }
    }

    /// Whether a bound may name this actor: a kind, all cheats together, or what is burned.
    pub(crate) fn knows(actor: &str) -> bool {
        [CHEATS, BURN].contains(&actor) || Self::ALL.iter().any(|kind| kind.name() == actor)
    }

    /// Whether it does less than the rule pays for. A sybil does the work, once.
    pub fn is_cheat(self) -> bool {
        !matches!(self, Self::Honest | Self::Sybil)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Operators of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Which kind.
    pub kind: Kind,
    /// How many operators.
    pub operators: usize,
    /// Identities of each: 1 except for sybils.
    pub each: usize,
}

/// Who plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast(Vec<Group>);

/// A text that casts nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CastError {
    /// Not `kind:count` or `kind:KxN`.
    #[error(
        "`{0}` casts nobody: `kind:count` is wanted, or `kind:KxN` for K operators of N identities"
    )]
    Form(String),
    /// No such kind.
    #[error("there is no kind `{name}`; there are {known}")]
    Kind {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Too many, or nobody.
    #[error("{0} identities: 1 to {IDENTITIES_MAX} can play")]
    Size(usize),
}

impl Cast {
    /// The groups, as written.
    pub fn groups(&self) -> &[Group] {
        &self.0
    }

    /// The same cast with `factor` operators for each that cheats, and so many colluders.
    #[must_use]
    pub fn varied(&self, factor: usize, colluders: usize) -> Self {
        let scaled = |group: &Group| Group {
            operators: group.operators * if group.kind.is_cheat() { factor } else { 1 },
            ..*group
        };
        let others = self.0.iter().filter(|group| group.kind != Kind::Colluder);
        let colluder = Group { kind: Kind::Colluder, operators: colluders, each: 1 };
        let league = (colluders > 0).then_some(colluder);
        Self(others.map(scaled).chain(league).collect())
    }

    /// The same cast with one identity for each operator of several, if there is one.
    pub fn unsplit(&self) -> Option<Self> {
        let split = self.0.iter().any(|group| group.each > 1);
        split.then(|| Self(self.0.iter().map(|group| Group { each: 1, ..*group }).collect()))
    }

    /// Which operators have several identities.
    pub(super) fn splitters(&self) -> impl Fn(usize) -> bool + use<> {
        let of = |group: &Group| std::iter::repeat_n(group.each > 1, group.operators);
        let all: Vec<bool> = self.0.iter().flat_map(of).collect();
        move |operator| all.get(operator).copied().unwrap_or(false)
    }

    /// How many identities play.
    pub fn size(&self) -> usize {
        self.0.iter().map(|group| group.operators * group.each).sum()
    }

    /// The kinds that play, each once.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| self.0.iter().any(|group| group.kind == *kind))
    }

    /// Every identity, with its place in the season of `seed`; slots from `first_uid` on.
    pub fn identities(&self, seed: u64, first_uid: u16) -> Vec<Identity> {
        let mut identities = Vec::new();
        let mut operator = 0;
        for group in &self.0 {
            for _ in 0..group.operators {
                for sibling in 0..group.each {
                    let index = u16::try_from(identities.len()).unwrap_or(u16::MAX);
                    let place = u16::try_from(operator).unwrap_or(u16::MAX);
                    let sibling = u16::try_from(sibling).unwrap_or(u16::MAX);
                    identities.push(Identity {
                        kind: group.kind,
                        operator,
                        siblings: group.each,
                        hotkey: miner(seed, place, sibling),
                        uid: Uid(first_uid + index),
                    });
                }
                operator += 1;
            }
        }
        identities
    }
}

impl FromStr for Cast {
    type Err = CastError;

    fn from_str(text: &str) -> Result<Self, CastError> {
        let played = text.split(',').map(str::trim).filter(|part| !is_burn(part));
        let groups: Vec<_> = played.map(group).collect::<Result<_, _>>()?;
        let size = groups.iter().fold(0_usize, |size, group| {
            size.saturating_add(group.operators.saturating_mul(group.each))
        });
        if (1..=IDENTITIES_MAX).contains(&size) {
            Ok(Self(groups))
        } else {
            Err(CastError::Size(size))
        }
    }
}

/// `burn` is no miner: it is the share that nobody earns, and every report has it. A cast may name it.
fn is_burn(part: &str) -> bool {
    part.split_once(':').is_some_and(|(name, count)| name == BURN && count.parse::<u16>().is_ok())
}

fn group(part: &str) -> Result<Group, CastError> {
    let form = || CastError::Form(part.to_owned());
    let (name, count) = part.split_once(':').ok_or_else(form)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        CastError::Kind { name: name.to_owned(), known: Kind::ALL.map(Kind::name).join(", ") }
    })?;
    let (operators, each) = count.split_once('x').unwrap_or((count, "1"));
    let number = |text: &str| text.parse::<usize>().map_err(|_| form());
    Ok(Group { kind, operators: number(operators)?, each: number(each)? })
}

/// A hotkey of a season: from its seed, so that equal seeds play equal seasons.
pub(super) fn hotkey(seed: u64, role: &str, index: u16) -> Hotkey {
    let parts: [&[u8]; 3] = [&seed.to_le_bytes(), role.as_bytes(), &index.to_le_bytes()];
    Hotkey::from_bytes(Digest::of("ganglion/arena/hotkey", &parts).0)
}

/// A miner's hotkey: of its operator and its place among that one's identities, so that everybody else
/// stays who they are when an operator splits.
fn miner(seed: u64, operator: u16, sibling: u16) -> Hotkey {
    let parts: [&[u8]; 4] =
        [&seed.to_le_bytes(), b"miner", &operator.to_le_bytes(), &sibling.to_le_bytes()];
    Hotkey::from_bytes(Digest::of("ganglion/arena/hotkey", &parts).0)
}

/// One registered miner of a season.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// What it does.
    pub kind: Kind,
    /// Who runs it: identities of one operator share its means.
    pub operator: usize,
    /// How many identities its operator runs.
    pub siblings: usize,
    /// Its key.
    pub hotkey: Hotkey,
    /// Its slot.
    pub uid: Uid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_reads_operators_and_identities() {
        let cast: Cast = "honest:8, burn:1, sybil:4x3".parse().unwrap();
        let identities = cast.identities(1, 6);
        assert_eq!(identities.len(), 20);
        assert_eq!(identities[19].uid, Uid(25));
        assert_eq!(identities.iter().filter(|one| one.operator == 8).count(), 3);
    }

    #[test]
    fn when_operators_are_unsplit_the_others_stay_who_they_are() {
        let cast: Cast = "honest:2,sybil:2x3,forger:1".parse().unwrap();
        let (split, one) = (cast.identities(1, 2), cast.unsplit().unwrap().identities(1, 2));
        assert_eq!((split.len(), one.len()), (9, 5));
        for of_one in &one {
            assert!(split.iter().any(|it| it.hotkey == of_one.hotkey && it.kind == of_one.kind));
        }
        assert_eq!("honest:2".parse::<Cast>().unwrap().unsplit(), None);
    }

    #[test]
    fn unreadable_casts_are_refused_by_what_is_wrong() {
        assert!(matches!("honest".parse::<Cast>(), Err(CastError::Form(_))));
        assert!(matches!("king:1".parse::<Cast>(), Err(CastError::Kind { .. })));
        assert!(matches!("lazy:0".parse::<Cast>(), Err(CastError::Size(0))));
        assert!(matches!("burn:1".parse::<Cast>(), Err(CastError::Size(0))));
        assert!(matches!("lazy:99999999999x99999999999".parse::<Cast>(), Err(CastError::Size(_))));
    }
}
