//! Who may ask, how much at a time, and how much of the engine is due to each.

use std::collections::HashMap;
use std::sync::Arc;

use chain::Metagraph;
use chain_metadata::Hotkey;
use inference::Share;
use parking_lot::{Mutex, RwLock};

use crate::config::Admission;

/// The hotkeys that may ask, by this metagraph: those allowed by name, and of the registered ones
/// all or those with a permit.
pub fn may_ask(metagraph: &Metagraph, admission: &Admission) -> Vec<Hotkey> {
    let registered = metagraph
        .neurons
        .iter()
        .filter(|neuron| neuron.validator_permit || !admission.require_permit)
        .map(|neuron| neuron.hotkey);
    registered.chain(admission.allow.iter().copied()).collect()
}

/// Tokens due to the caller with the most stake for each token due to one with none.
const HIGHEST_WEIGHT: u32 = 100;

/// What is due to each caller of the engine while several wait: by stake.
#[derive(Debug, Clone, Default)]
pub struct Dues(Arc<RwLock<HashMap<Hotkey, u32>>>);

impl Dues {
    /// Takes over this metagraph's stakes.
    pub fn replace(&self, metagraph: &Metagraph) {
        let stakes = metagraph.neurons.iter().map(|neuron| (neuron.hotkey, neuron.total_stake.0));
        *self.0.write() = weights(&stakes.collect::<Vec<_>>());
    }

    /// The share of a request; of nobody in particular where no caller was proved.
    pub fn share(&self, caller: Option<Hotkey>) -> Share {
        caller.map_or_else(Share::default, |hotkey| Share {
            caller: *hotkey.as_bytes(),
            weight: self.0.read().get(&hotkey).copied().unwrap_or(1),
        })
    }
}

/// From 1 for no stake to [`HIGHEST_WEIGHT`] for the most, in proportion between.
fn weights(stakes: &[(Hotkey, u64)]) -> HashMap<Hotkey, u32> {
    let most = stakes.iter().map(|(_, stake)| *stake).max().unwrap_or(0).max(1);
    let weight = |stake: u64| {
        let above = u128::from(stake) * u128::from(HIGHEST_WEIGHT - 1) / u128::from(most);
        1 + u32::try_from(above).unwrap_or(HIGHEST_WEIGHT - 1)
    };
    stakes.iter().map(|&(hotkey, stake)| (hotkey, weight(stake))).collect()
}

/// Requests under way, bounded for each caller and in all.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    per_caller: usize,
    in_all: usize,
    taken: Mutex<HashMap<Hotkey, usize>>,
}

/// A request's place; given back on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    hotkey: Hotkey,
}

impl Slots {
    /// As configured.
    pub fn new(admission: &Admission) -> Self {
        let Admission { per_caller, queue, .. } = *admission;
        Self(Arc::new(Inner { per_caller, in_all: queue, taken: Mutex::default() }))
    }

    /// A place for a request of `hotkey`, or `None` when it or all have theirs.
    pub fn take(&self, hotkey: Hotkey) -> Option<Slot> {
        let mut taken = self.0.taken.lock();
        let of_all: usize = taken.values().sum();
        let of_caller = taken.get(&hotkey).copied().unwrap_or(0);
        if of_all >= self.0.in_all || of_caller >= self.0.per_caller {
            return None;
        }
        taken.insert(hotkey, of_caller + 1);
        Some(Slot { slots: self.clone(), hotkey })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.taken.lock();
        match taken.get_mut(&self.hotkey) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.hotkey);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hotkey(n: u8) -> Hotkey {
        Hotkey::from_bytes([n; 32])
    }

    #[test]
    fn the_engine_is_due_by_stake_and_to_strangers_least() {
        let dues = Dues::default();
        *dues.0.write() = weights(&[(hotkey(1), 1_000), (hotkey(2), 500), (hotkey(3), 0)]);
        let weight = |n| dues.share(Some(hotkey(n))).weight;
        assert_eq!([weight(1), weight(2), weight(3), weight(9)], [100, 50, 1, 1]);
        assert_eq!(dues.share(None), Share::default());
        assert!(weights(&[(hotkey(1), 0)]).values().all(|weight| *weight == 1));
    }

    #[test]
    fn a_caller_has_its_share_and_all_have_theirs() {
        let slots = Slots::new(&Admission { per_caller: 2, queue: 3, ..Admission::default() });
        let first = slots.take(hotkey(1)).unwrap();
        let _second = slots.take(hotkey(1)).unwrap();
        assert!(slots.take(hotkey(1)).is_none(), "a third of one caller");
        let _other = slots.take(hotkey(2)).unwrap();
        assert!(slots.take(hotkey(3)).is_none(), "a fourth in all");
        drop(first);
        assert!(slots.take(hotkey(3)).is_some(), "a place was given back");
    }
}
