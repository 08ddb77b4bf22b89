//! Counters, gauges and histograms, for both programs, as `OpenMetrics` text.
//!
//! A family is there from its first use on. Label values are `&'static str`, so the number of series
//! is bounded by the code: no hotkey and no address can become a label. A uid can, in a family that is
//! set as a whole ([`Metrics::set_by_uid`]), as there are no more than slots.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use chain_metadata::Uid;
use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Names of what both programs say.
pub mod names {
    /// Seconds since the newest finalized block came.
    pub const HEAD_AGE: &str = "ganglion_chain_head_age_seconds";
    /// Whether there has been no new finalized block for too long.
    pub const STALLED: &str = "ganglion_chain_stalled";
    /// Place in the list of the endpoint in use; 0 is the first.
    pub const ENDPOINT: &str = "ganglion_chain_endpoint_index";
    /// Seconds by which this machine's clock is ahead of the chain's newest block.
    pub const CLOCK_OFFSET: &str = "clock_offset_seconds";
    /// Seconds since the metagraph was read.
    pub const METAGRAPH_AGE: &str = "metagraph_age_seconds";
}

/// What each family says, for whoever reads the page.
const HELP: &[(&str, &str)] = &[
    (names::HEAD_AGE, "Seconds since the newest finalized block came"),
    (names::STALLED, "1 while no finalized block has come for three block times"),
    (names::ENDPOINT, "Place in the list of the endpoint in use, 0 is the first"),
    (names::CLOCK_OFFSET, "Seconds by which this machine's clock is ahead of the newest block"),
    (names::METAGRAPH_AGE, "Seconds since the metagraph was read"),
    ("ganglion_validator_head", "Finalized block last acted on"),
    ("ganglion_validator_decision", "1 for what was decided about weights at the last head"),
    (
        "ganglion_validator_epochs_since_settled_weights",
        "Epochs since the one whose weights the chain last took",
    ),
    ("ganglion_validator_weight_submissions_total", "Weights by what became of them"),
    ("ganglion_validator_weights_lost_total", "Weights that never took effect, by cause"),
    ("ganglion_validator_timelocked_reveals_total", "Timelocked commits by what became of them"),
    (
        "ganglion_validator_foreign_updates_total",
        "Weights of this hotkey that another program sent",
    ),
    ("ganglion_validator_rounds_total", "Rounds of questions"),
    ("ganglion_validator_miner_results_total", "Questions by what came back"),
    ("ganglion_validator_rule_differs", "1 while the owner's rule is not the one in force"),
    ("ganglion_validator_rules_adopted_total", "Rules of the owner that were put in force"),
    ("validator_weight_submissions_total", "Weights by whether the chain took them, and why not"),
    ("validator_last_weights_block", "Block of the last weights or commit of this hotkey"),
    ("validator_round_duration_seconds", "Seconds from a round's first question to its end"),
    ("ganglion_own_stake", "Stake of this hotkey as the epoch counts it, in alpha"),
    ("ganglion_own_permit", "1 while this hotkey has a validator permit"),
    ("ganglion_own_trust", "Share of this validator's weights that consensus kept"),
    ("ganglion_own_dividends", "Share of the validators' emission"),
    ("ganglion_own_incentive", "Share of the miners' emission"),
    ("ganglion_own_emission", "Alpha paid at the last epoch"),
    ("ganglion_validator_weight", "Weight of a uid as things stand, of 65535"),
    ("ganglion_validator_worth", "Worth of a uid by the evidence"),
    ("ganglion_miner_requests_total", "Requests by outcome"),
    ("ganglion_prompt_tokens_total", "Tokens of prompts"),
    ("ganglion_generation_tokens_total", "Tokens generated"),
    ("ganglion_num_requests_running", "Requests in the engine's batch"),
    ("ganglion_num_requests_waiting", "Requests in the engine's queue"),
    ("ganglion_kv_cache_usage_perc", "Share of the cache's blocks in use, 0 to 1"),
    ("ganglion_prefix_cache_hit_tokens", "Tokens whose keys and values were found in the cache"),
    ("ganglion_num_preemptions", "Requests that made room for others and were begun again"),
    ("requests_total", "Requests by route and status"),
    ("request_duration_seconds", "Seconds from a request's head to its answer's end"),
];

/// Bounds of a histogram's buckets, in seconds: 5 ms to some minutes, each twice the one before.
const FIRST_BUCKET_S: f64 = 0.005;
const BUCKETS: u16 = 17;

/// One label of a series.
pub type Label = (&'static str, &'static str);

type Labels = Vec<Label>;

/// See the module's documentation. Clones share it.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

/// Writes families that a part keeps itself.
type Source = Box<dyn Fn(&mut String) + Send + Sync>;

#[derive(Default)]
struct Inner {
    families: Mutex<Families>,
    others: Mutex<Vec<Source>>,
}

#[derive(Default)]
struct Families {
    registry: Registry,
    by_name: BTreeMap<&'static str, Kind>,
}

type Gauges<L> = Family<L, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

enum Kind {
    Counter(Family<Labels, Counter>),
    Gauge(Gauges<Labels>),
    ByUid(Gauges<Vec<(&'static str, u16)>>),
    Histogram(Histograms),
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.families.lock().by_name.keys().copied().collect();
        f.debug_tuple("Metrics").field(&names).finish()
    }
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(FIRST_BUCKET_S, 2.0, BUCKETS))
}

/// A name without what the format itself adds to a counter's.
fn stem(name: &'static str) -> &'static str {
    name.strip_suffix("_total").unwrap_or(name)
}

fn help(name: &str) -> &'static str {
    HELP.iter().find(|(known, _)| *known == name).map_or("See the documentation", |(_, help)| help)
}

impl Families {
    fn counter(&mut self, name: &'static str) -> Option<&Family<Labels, Counter>> {
        let Self { registry, by_name } = self;
        let kind = by_name.entry(name).or_insert_with(|| {
            let family = Family::default();
            registry.register(stem(name), help(name), family.clone());
            Kind::Counter(family)
        });
        if let Kind::Counter(family) = kind { Some(family) } else { None }
    }

    fn gauge(&mut self, name: &'static str) -> Option<&Gauges<Labels>> {
        let Self { registry, by_name } = self;
        let kind = by_name.entry(name).or_insert_with(|| {
            let family = Family::default();
            registry.register(name, help(name), family.clone());
            Kind::Gauge(family)
        });
        if let Kind::Gauge(family) = kind { Some(family) } else { None }
    }

    fn by_uid(&mut self, name: &'static str) -> Option<&Gauges<Vec<(&'static str, u16)>>> {
        let Self { registry, by_name } = self;
        let kind = by_name.entry(name).or_insert_with(|| {
            let family = Family::default();
            registry.register(name, help(name), family.clone());
            Kind::ByUid(family)
        });
        if let Kind::ByUid(family) = kind { Some(family) } else { None }
    }

    fn histogram(&mut self, name: &'static str) -> Option<&Histograms> {
        let Self { registry, by_name } = self;
        let kind = by_name.entry(name).or_insert_with(|| {
            let family = Family::new_with_constructor(histogram as fn() -> Histogram);
            registry.register(name, help(name), family.clone());
            Kind::Histogram(family)
        });
        if let Kind::Histogram(family) = kind { Some(family) } else { None }
    }
}

// A name is of one kind, by the code that uses it; used as another kind it is left alone.
impl Metrics {
    /// What [`render`](Self::render) writes.
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Adds `by` to the counter `name`, which ends in `_total`.
    pub fn count(&self, name: &'static str, labels: &[Label], by: u64) {
        if let Some(family) = self.0.families.lock().counter(name) {
            family.get_or_create(&labels.to_vec()).inc_by(by);
        }
    }

    /// Sets the gauge `name`.
    pub fn set(&self, name: &'static str, labels: &[Label], value: f64) {
        if let Some(family) = self.0.families.lock().gauge(name) {
            family.get_or_create(&labels.to_vec()).set(value);
        }
    }

    /// Sets a whole family of gauges with the label `uid`; slots that are not named are gone from it.
    pub fn set_by_uid(&self, name: &'static str, values: impl IntoIterator<Item = (Uid, f64)>) {
        if let Some(family) = self.0.families.lock().by_uid(name) {
            family.clear();
            for (uid, value) in values {
                family.get_or_create(&vec![("uid", uid.0)]).set(value);
            }
        }
    }

    /// Takes a duration into the histogram `name`, which ends in `_seconds`.
    pub fn observe(&self, name: &'static str, labels: &[Label], duration: std::time::Duration) {
        if let Some(family) = self.0.families.lock().histogram(name) {
            family.get_or_create(&labels.to_vec()).observe(duration.as_secs_f64());
        }
    }

    /// The value of a counter; 0 when it was never counted.
    pub fn counted(&self, name: &'static str, labels: &[Label]) -> u64 {
        let mut families = self.0.families.lock();
        families.counter(name).map_or(0, |family| family.get_or_create(&labels.to_vec()).get())
    }

    /// Appends what `other` writes, in the same format, to every rendering: for parts that keep
    /// counters of their own.
    pub fn append(&self, other: impl Fn(&mut String) + Send + Sync + 'static) {
        self.0.others.lock().push(Box::new(other));
    }

    /// Every family, in `OpenMetrics`' text format 1.0.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        encode_registry(&mut text, &self.0.families.lock().registry).unwrap_or_default();
        for other in &*self.0.others.lock() {
            other(&mut text);
        }
        encode_eof(&mut text).unwrap_or_default();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn families_are_rendered_with_help_type_and_labels() {
        let metrics = Metrics::default();
        metrics.count("ganglion_miner_requests_total", &[("code", "200")], 2);
        metrics.count("ganglion_miner_requests_total", &[("code", "200")], 1);
        metrics.set(names::HEAD_AGE, &[], 3.5);
        metrics.set_by_uid("ganglion_validator_weight", [(Uid(3), 7.0), (Uid(4), 9.0)]);
        metrics.set_by_uid("ganglion_validator_weight", [(Uid(4), 8.0)]);
        metrics.observe("validator_round_duration_seconds", &[], Duration::from_millis(30));
        metrics.append(|text| text.push_str("own_total 7\n"));
        let text = metrics.render();
        for line in [
            "# HELP ganglion_miner_requests Requests by outcome.\n",
            "# TYPE ganglion_miner_requests counter\n",
            "ganglion_miner_requests_total{code=\"200\"} 3\n",
            "# TYPE ganglion_chain_head_age_seconds gauge\n",
            "ganglion_chain_head_age_seconds 3.5\n",
            "ganglion_validator_weight{uid=\"4\"} 8.0\n",
            "# TYPE validator_round_duration_seconds histogram\n",
            "validator_round_duration_seconds_bucket{le=\"0.02\"} 0\n",
            "validator_round_duration_seconds_bucket{le=\"0.04\"} 1\n",
            "validator_round_duration_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("uid=\"3\""), "a slot that is not named is gone");
        assert!(text.ends_with("own_total 7\n# EOF\n"), "{text}");
        assert_eq!(metrics.counted("ganglion_miner_requests_total", &[("code", "200")]), 3);
    }

    #[test]
    fn a_name_of_another_kind_is_left_alone() {
        let metrics = Metrics::default();
        metrics.count("requests_total", &[], 2);
        metrics.set("requests_total", &[], 9.0);
        assert_eq!(metrics.counted("requests_total", &[]), 2);
    }
}
