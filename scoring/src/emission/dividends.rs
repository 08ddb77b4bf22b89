//! What validators earned, to those whose stake they validated with.

use crate::fixed::U96F32;

/// What a hotkey holds in a subnet and on root, in rao.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// Alpha of the subnet.
    pub alpha: u64,
    /// TAO on root.
    pub root: u64,
}

/// A parent that lends part of its stake to a child hotkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// What it lends, of `u64::MAX` parts of its stake.
    pub proportion: u64,
    /// Its stake.
    pub holding: Holding,
    /// Whether one coldkey owns both it and the child: then nothing is taken.
    pub same_owner: bool,
}

/// A hotkey among its parents and children in one subnet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    /// Its own stake.
    pub own: Holding,
    /// What it lends to its children, of `u64::MAX` parts each.
    pub lent: Vec<u64>,
    /// Who lends to it.
    pub parents: Vec<Parent>,
}

/// What a hotkey's dividend becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Rao to each parent, in order.
    pub parents: Vec<u64>,
    /// Rao that the hotkey keeps: its own stake's part and its takes.
    pub own: u64,
    /// Rao to recycle, from each foreign parent's part, in order.
    pub recycled: Vec<u64>,
}

/// What is taken from foreign parents before they are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takes {
    /// The child hotkey's take, of `u16::MAX` parts.
    pub child: u16,
    /// What is recycled (`CKBurn`), of `u64::MAX` parts.
    pub recycled: u64,
}

impl Family {
    /// What the epoch counts as the hotkey's stake: its own less what it lends, plus what it is
    /// lent, alpha and root each truncated to rao.
    pub fn inherited(&self) -> Holding {
        let of = |holding: fn(&Holding) -> u64| {
            let own = U96F32::from_num(holding(&self.own));
            let lent = sum(self.lent.iter().map(|part| own.saturating_mul(lent_part(*part))));
            let borrowed = sum(self.parents.iter().map(|parent| {
                let stake = U96F32::from_num(holding(&parent.holding));
                stake.saturating_mul(lent_part(parent.proportion))
            }));
            own.saturating_sub(lent).saturating_add(borrowed).saturating_to_num()
        };
        Holding { alpha: of(|held| held.alpha), root: of(|held| held.root) }
    }

    /// Divides a `dividend` in rao by what each contributed: `alpha + root × tao_weight` of the
    /// part that is lent, or kept. `tao_weight` of [`super::pool::tao_weight`].
    pub fn share(&self, dividend: u64, tao_weight: U96F32, takes: Takes) -> Shared {
        let whole = U96F32::from_num(dividend);
        let contributions: Vec<U96F32> = self
            .parents
            .iter()
            .map(|p| weighed(p.holding, lent_part(p.proportion), tao_weight))
            .collect();
        let total =
            self.contribution(tao_weight).saturating_add(sum(contributions.iter().copied()));

        let mut shared = Shared { parents: Vec::new(), own: 0, recycled: Vec::new() };
        let (mut rest, mut taken) = (whole, U96F32::default());
        for (parent, contribution) in self.parents.iter().zip(contributions) {
            let part = contribution.checked_div(total).unwrap_or_default();
            let earned = whole.saturating_mul(part);
            rest = rest.saturating_sub(earned);
            let (recycled, take) = if parent.same_owner {
                (U96F32::default(), U96F32::default())
            } else {
                (
                    lent_part(takes.recycled).saturating_mul(earned),
                    of_u16(takes.child).saturating_mul(earned),
                )
            };
            taken = taken.saturating_add(take);
            let paid = earned.saturating_sub(recycled).saturating_sub(take);
            shared.parents.push(paid.saturating_to_num());
            shared.recycled.push(recycled.saturating_to_num());
        }
        shared.own = rest.saturating_add(taken).saturating_to_num();
        shared
    }

    /// What the hotkey contributes itself, truncated to rao.
    fn contribution(&self, tao_weight: U96F32) -> U96F32 {
        let one = U96F32::from_num(1);
        let kept = self.lent.iter().fold(one, |kept, part| kept.saturating_sub(lent_part(*part)));
        let rao: u64 = weighed(self.own, kept, tao_weight).saturating_to_num();
        U96F32::from_num(rao)
    }
}

/// A hotkey that earned dividends, its own and its children's together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earner {
    /// What it earned, rao.
    pub dividend: U96F32,
    /// Its own stake.
    pub holding: Holding,
}

/// What a hotkey is paid from the validators' two pots, in rao.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// From alpha's pot.
    pub alpha: U96F32,
    /// From root's pot.
    pub root: U96F32,
}

/// Divides the validators' pots: each dividend counts toward root by the part that root TAO has
/// in its hotkey's stake and toward alpha by the rest; each pot is shared by what counts toward it.
pub fn divide(alpha_pot: u64, root_pot: u64, tao_weight: U96F32, earners: &[Earner]) -> Vec<Paid> {
    let counted: Vec<Paid> = earners.iter().map(|earner| count(earner, tao_weight)).collect();
    let alpha = sum(counted.iter().map(|counted| counted.alpha));
    let root = sum(counted.iter().map(|counted| counted.root));
    let share = |part: U96F32, of: U96F32, pot: u64| {
        U96F32::from_num(pot).saturating_mul(part.checked_div(of).unwrap_or_default())
    };
    let pay = |counted: &Paid| Paid {
        alpha: share(counted.alpha, alpha, alpha_pot),
        root: share(counted.root, root, root_pot),
    };
    counted.iter().map(pay).collect()
}

/// A dividend by what of its hotkey's stake is root and what is alpha.
fn count(earner: &Earner, tao_weight: U96F32) -> Paid {
    let root = U96F32::from_num(earner.holding.root).saturating_mul(tao_weight);
    let all = U96F32::from_num(earner.holding.alpha).saturating_add(root);
    let root = earner.dividend.saturating_mul(root.checked_div(all).unwrap_or_default());
    Paid { alpha: earner.dividend.saturating_sub(root), root }
}

/// Splits what a hotkey is paid into its take (parts of `u16::MAX`), which its owner stakes, and
/// the rest, which raises every nominator's share; both truncated to rao.
pub fn take(paid: U96F32, take: u16) -> (u64, u64) {
    let taken = of_u16(take).saturating_mul(paid);
    (taken.saturating_to_num(), paid.saturating_sub(taken).saturating_to_num())
}

/// `alpha + root × tao_weight` of a part of a holding.
fn weighed(holding: Holding, part: U96F32, tao_weight: U96F32) -> U96F32 {
    let alpha = U96F32::from_num(holding.alpha).saturating_mul(part);
    let root = U96F32::from_num(holding.root).saturating_mul(part).saturating_mul(tao_weight);
    alpha.saturating_add(root)
}

fn lent_part(parts: u64) -> U96F32 {
    U96F32::from_num(parts).checked_div(U96F32::from_num(u64::MAX)).unwrap_or_default()
}

fn of_u16(parts: u16) -> U96F32 {
    U96F32::from_num(parts).checked_div(U96F32::from_num(u16::MAX)).unwrap_or_default()
}

fn sum(values: impl Iterator<Item = U96F32>) -> U96F32 {
    values.fold(U96F32::default(), U96F32::saturating_add)
}
