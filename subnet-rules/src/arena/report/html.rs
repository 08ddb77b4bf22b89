//! The report as one self-contained page: tables, and plots in SVG.

use super::Report;
use crate::arena::cast::Kind;
use crate::arena::season::Season;

/// Width and height of a plot, pixels.
const WIDTH: f64 = 720.0;
/// See [`WIDTH`].
const HEIGHT: f64 = 220.0;
/// Most points of a curve: more than a screen shows.
const POINTS: usize = 360;
/// One colour a kind, in their order; told apart by the colour-blind too.
const COLOURS: [&str; 8] =
    ["#0072b2", "#999999", "#e69f00", "#56b4e9", "#d55e00", "#cc79a7", "#009e73", "#f0e442"];

/// A kind's curves over the epochs.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    kind: Kind,
    share: Vec<f64>,
    worth: Vec<f64>,
    accused: Vec<f64>,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Plots(Vec<Curve>);

impl Plots {
    pub(super) fn of(season: &Season) -> Self {
        let members = |kind: Kind| {
            let all = season.identities.iter().enumerate();
            all.filter(|(_, one)| one.kind == kind).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let curve = |kind: Kind| {
            let members = members(kind);
            if members.is_empty() {
                return None;
            }
            let sum = |row: &Vec<f64>| members.iter().map(|at| row[*at]).sum::<f64>();
            #[expect(clippy::cast_precision_loss, reason = "at most some hundred identities")]
            let count = members.len() as f64;
            let accused_by = |epoch: u64| {
                let convicted = members.iter().filter(|at| {
                    season.convicted[**at].is_some_and(|convicted| convicted <= epoch)
                });
                #[expect(clippy::cast_precision_loss, reason = "at most some hundred identities")]
                let convicted = convicted.count() as f64;
                convicted / count
            };
            Some(Curve {
                kind,
                share: season.incentive.iter().map(sum).collect(),
                worth: season.worth.iter().map(|row| sum(row) / count).collect(),
                accused: (1..=season.incentive.len() as u64).map(accused_by).collect(),
            })
        };
        Self(Kind::ALL.into_iter().filter_map(curve).collect())
    }
}

/// The page.
pub(super) fn page(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Arena: {rule}</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;color:#222}}\
         table{{border-collapse:collapse;margin:1rem 0}}td,th{{padding:.2rem .8rem;text-align:left;\
         border-bottom:1px solid #ddd}}td.n{{text-align:right;font-variant-numeric:tabular-nums}}\
         .no{{color:#b00020;font-weight:600}}</style><h1>{rule}</h1><p>{epochs} epochs, seed {seed}, \
         rule <code>{digest}</code>, log <code>{log}</code></p>",
        rule = report.rule,
        epochs = report.epochs,
        seed = report.seed,
        digest = report.digest.short(),
        log = report.log_digest.short(),
    );
    page.push_str(&actors(report));
    let plot = |title, of: fn(&Curve) -> &[f64]| plot(title, &report.plots, of);
    page.push_str(&plot("Share of incentive", |curve| &curve.share));
    page.push_str(&plot("Mean worth by the first validator", |curve| &curve.worth));
    page.push_str(&plot("Share convicted", |curve| &curve.accused));
    page.push_str(&verdicts(report));
    page
}

fn actors(report: &Report) -> String {
    let row = |actor: &super::Actor| {
        let epoch = actor.median_epoch_convicted.map(|epoch| epoch.to_string());
        format!(
            "<tr><td>{}<td class=n>{}<td class=n>{:.4}<td class=n>{:.4}<td class=n>{}<td class=n>{}</tr>",
            actor.kind,
            actor.count,
            actor.share,
            actor.share_per_identity,
            actor.convicted,
            epoch.unwrap_or_default(),
        )
    };
    let rows: Vec<_> = report.actors.iter().map(row).collect();
    format!(
        "<table><tr><th>who<th>count<th>share<th>per identity<th>convicted<th>median epoch</tr>\
         {}</table>",
        rows.concat()
    )
}

fn verdicts(report: &Report) -> String {
    let word = |holds| if holds { "<td>holds" } else { "<td class=no>broken" };
    let bounds = report.bounds.iter().map(|bound| {
        let (name, limit, value) = (&bound.name, bound.limit, bound.value);
        format!("<tr><td>{name} {limit}{}<td>{value:.4}</tr>", word(bound.holds))
    });
    let laws = report
        .laws
        .iter()
        .map(|law| format!("<tr><td>{}{}<td>{}</tr>", law.name, word(law.holds), law.detail));
    let rows: String = bounds.chain(laws).collect();
    format!("<h2>Bounds and laws</h2><table>{rows}</table>")
}

fn plot(title: &str, plots: &Plots, of: fn(&Curve) -> &[f64]) -> String {
    let curves: String = plots.0.iter().map(|curve| line(of(curve), colour(curve.kind))).collect();
    let names: Vec<_> = plots
        .0
        .iter()
        .map(|curve| {
            format!("<span style=\"color:{}\">■</span> {} ", colour(curve.kind), curve.kind)
        })
        .collect();
    format!(
        "<h2>{title}</h2><svg viewBox=\"0 -4 {WIDTH} {h}\" width=\"100%\" role=\"img\" \
         aria-label=\"{title}\"><path d=\"M0 0V{HEIGHT}H{WIDTH}\" fill=\"none\" stroke=\"#999\"/>\
         {curves}</svg><p>{names}</p>",
        names = names.concat(),
        h = HEIGHT + 8.0
    )
}

fn colour(kind: Kind) -> &'static str {
    COLOURS[kind as usize]
}

/// A polyline of values within 0..=1.
fn line(values: &[f64], colour: &str) -> String {
    let step = values.len().div_ceil(POINTS).max(1);
    let point = |(at, value): (usize, &f64)| {
        #[expect(clippy::cast_precision_loss, reason = "epochs are far below 2^53")]
        let x = WIDTH * at as f64 / values.len().max(2) as f64;
        let y = HEIGHT * (1.0 - value.clamp(0.0, 1.0));
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<_> = values.iter().enumerate().step_by(step).map(point).collect();
    let points = points.join(" ");
    format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")
}
