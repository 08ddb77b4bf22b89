//! The rules that ship: one folder each, and one line here.
//!
//! A folder has everything of its rule: `rule.toml`, README, golden cases, what its two sides say
//! (`ask`), the verbs, what measures, the native worker (`answer`), and the world of its actors.

pub mod forge;
pub mod serve;
pub mod topic;
pub mod tune;

use crate::native::Native;
use crate::package::Shipped;

/// A rule's files, and its code where that is written in this program.
macro_rules! shipped {
    ($name:literal: $($file:literal),+ $(; $rule:ty)?) => {
        Shipped {
            name: $name,
            files: &[$(($file, include_str!(concat!("rules/", $name, "/", $file)))),+],
            native: [$(Native::of::<$rule>())?].as_slice(),
        }
    };
}

/// All rules that ship, by name.
pub(crate) const SHIPPED: &[Shipped] = &[
    shipped!("forge": "rule.toml", "cases.json", "README.md"; forge::Forge),
    shipped!("ledger": "rule.toml", "rule.star", "cast.star", "cases.json", "README.md"),
    shipped!("quota": "rule.toml", "README.md"),
    shipped!("serve": "rule.toml", "README.md"; serve::Serve),
    shipped!("topic": "rule.toml", "cases.json", "README.md"; topic::Topic),
    shipped!("tune": "rule.toml", "cases.json", "README.md"; tune::Tune),
];
