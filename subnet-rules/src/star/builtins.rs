//! What a rule can call beside the language itself: randomness that it is given, comparison of texts
//! and numbers, statistics, and the forms of evidence.

// The macro turns each function below into a value of the language; its own form of arguments and
// results is not ours to choose.
#![expect(clippy::unnecessary_wraps, reason = "the macro wants results")]

use serde_json::{Value as Json, json};
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::float::UnpackFloat;
use starlark::values::list::UnpackList;
use starlark::values::{Heap, Value};

use crate::prf::Prf;

pub(super) use given::Given;

mod given {
    #![expect(
        unsafe_code,
        reason = "the derive says that a type without lifetimes is its own static form"
    )]

    use std::cell::RefCell;

    use starlark::any::ProvidesStaticType;

    use crate::prf::Prf;

    /// What a call is given besides its arguments.
    #[derive(Debug, ProvidesStaticType)]
    pub(in crate::star) struct Given(pub(in crate::star) RefCell<Option<Prf>>);
}

/// Why a builtin refuses.
#[derive(Debug, thiserror::Error)]
enum Misuse {
    #[error("no randomness here: `prf` works within `draw` and an actor's `answer` alone")]
    NoRandomness,
    #[error("{function} takes a list that is not empty")]
    Empty { function: &'static str },
    #[error("{function} gives {value}, which is no finite number")]
    NotFinite { function: &'static str, value: f64 },
    #[error("{name} is {value}; {wanted} is wanted")]
    Range { name: &'static str, value: f64, wanted: &'static str },
}

fn with_prf<T>(
    eval: &Evaluator<'_, '_, '_>,
    take: impl FnOnce(&mut Prf) -> T,
) -> anyhow::Result<T> {
    let given = eval.extra.and_then(|extra| extra.downcast_ref::<Given>());
    let mut prf = given.ok_or(Misuse::NoRandomness)?.0.borrow_mut();
    Ok(take(prf.as_mut().ok_or(Misuse::NoRandomness)?))
}

fn finite(function: &'static str, value: f64) -> anyhow::Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Misuse::NotFinite { function, value }.into()) }
}

/// The stream that the beacon keys; the only randomness there is.
#[starlark_module]
pub(super) fn prf(globals: &mut GlobalsBuilder) {
    /// A number from 0 to `bound` - 1.
    fn below(bound: u32, eval: &mut Evaluator<'_, '_, '_>) -> anyhow::Result<u32> {
        with_prf(eval, |prf| u32::try_from(prf.below(u64::from(bound))).unwrap_or(0))
    }

    /// A number from 0 up to, but not including, 1.
    fn unit(eval: &mut Evaluator<'_, '_, '_>) -> anyhow::Result<f64> {
        with_prf(eval, Prf::unit)
    }

    /// True with probability `p`.
    fn chance(p: UnpackFloat, eval: &mut Evaluator<'_, '_, '_>) -> anyhow::Result<bool> {
        with_prf(eval, |prf| prf.chance(p.0))
    }

    /// One element of a list.
    fn pick<'v>(
        from: UnpackList<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let picked = with_prf(eval, |prf| prf.pick(&from.items).copied())?;
        picked.ok_or_else(|| Misuse::Empty { function: "prf.pick" }.into())
    }

    /// `count` different elements of a list in random order.
    fn sample<'v>(
        from: UnpackList<Value<'v>>,
        count: u32,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Vec<Value<'v>>> {
        with_prf(eval, |prf| prf.sample(&from.items, count as usize))
    }
}

/// Comparison of texts: with case, spaces and the like out of the way.
#[starlark_module]
pub(super) fn text(globals: &mut GlobalsBuilder) {
    /// Lower case, words one space apart, none at the ends.
    fn plain(of: &str) -> anyhow::Result<String> {
        Ok(of.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The words: runs of letters and digits, in lower case.
    fn words(of: &str) -> anyhow::Result<Vec<String>> {
        let words = of.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        Ok(words.map(str::to_lowercase).collect())
    }

    /// Share of words that two texts have in common, of all words in either: 1 for equal sets.
    fn overlap(a: &str, b: &str) -> anyhow::Result<f64> {
        let set = |of: &str| -> std::collections::BTreeSet<String> {
            of.split_whitespace().map(str::to_lowercase).collect()
        };
        let (a, b) = (set(a), set(b));
        let (shared, all) = (a.intersection(&b).count(), a.union(&b).count());
        #[expect(clippy::cast_precision_loss, reason = "words of a text are far below 2^53")]
        let overlap = if all == 0 { 1.0 } else { shared as f64 / all as f64 };
        Ok(overlap)
    }
}

/// Numbers, through `libm`: the same on every machine.
#[starlark_module]
pub(super) fn math(globals: &mut GlobalsBuilder) {
    /// Natural logarithm.
    fn log(x: UnpackFloat) -> anyhow::Result<f64> {
        finite("math.log", libm::log(x.0))
    }

    /// e to the power of x.
    fn exp(x: UnpackFloat) -> anyhow::Result<f64> {
        finite("math.exp", libm::exp(x.0))
    }

    /// x to the power of y.
    fn pow(x: UnpackFloat, y: UnpackFloat) -> anyhow::Result<f64> {
        finite("math.pow", libm::pow(x.0, y.0))
    }

    /// Whether two numbers differ by no more than `tolerance`; never where one is no number.
    fn close(a: UnpackFloat, b: UnpackFloat, tolerance: UnpackFloat) -> anyhow::Result<bool> {
        Ok((a.0 - b.0).abs() <= tolerance.0)
    }

    /// The number a text is, or None: no NaN and no infinity.
    fn number<'v>(of: &str, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let number = of.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        Ok(number.map_or_else(Value::new_none, |number| heap.alloc(number)))
    }
}

/// Statistics; sums are taken in the order of the list.
#[starlark_module]
pub(super) fn stats(globals: &mut GlobalsBuilder) {
    /// Arithmetic mean.
    fn mean(of: UnpackList<UnpackFloat>) -> anyhow::Result<f64> {
        let count = of.items.len();
        if count == 0 {
            return Err(Misuse::Empty { function: "stats.mean" }.into());
        }
        #[expect(clippy::cast_precision_loss, reason = "a list has far fewer than 2^53 items")]
        let mean = of.items.iter().map(|x| x.0).sum::<f64>() / count as f64;
        finite("stats.mean", mean)
    }

    /// The middle one; the mean of the two in the middle where their number is even.
    fn median(of: UnpackList<UnpackFloat>) -> anyhow::Result<f64> {
        let mut sorted: Vec<_> = of.items.iter().map(|x| x.0).collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.get(middle), sorted.len() % 2) {
            (Some(upper), 0) => finite("stats.median", f64::midpoint(sorted[middle - 1], *upper)),
            (Some(one), _) => finite("stats.median", *one),
            (None, _) => Err(Misuse::Empty { function: "stats.median" }.into()),
        }
    }
}

/// The forms of evidence. Each names whom it is about and the track of the manifest it goes to.
#[starlark_module]
pub(super) fn evidence(globals: &mut GlobalsBuilder) {
    /// A grade from 0 to 1.
    fn score<'v>(
        miner: &str,
        track: &str,
        grade: UnpackFloat,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let value = grade.0;
        if !(0.0..=1.0).contains(&value) {
            let wanted = "a number from 0 to 1";
            return Err(Misuse::Range { name: "grade", value, wanted }.into());
        }
        Ok(finding(miner, track, &json!({ "score": value }), heap))
    }

    /// Trials that passed and that failed.
    fn trials<'v>(
        miner: &str,
        track: &str,
        passed: u32,
        failed: u32,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let trials = json!({ "trials": { "passed": passed, "failed": failed } });
        Ok(finding(miner, track, &trials, heap))
    }

    /// Outcomes for a sequential test, in order.
    fn matches<'v>(
        miner: &str,
        track: &str,
        of: UnpackList<bool>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        Ok(finding(miner, track, &json!({ "matches": of.items }), heap))
    }

    /// Units of verified work.
    fn volume<'v>(
        miner: &str,
        track: &str,
        units: u32,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        Ok(finding(miner, track, &json!({ "volume": units }), heap))
    }
}

fn finding<'v>(miner: &str, track: &str, evidence: &Json, heap: Heap<'v>) -> Value<'v> {
    heap.alloc(json!({ "hotkey": miner, "track": track, "evidence": evidence }))
}
