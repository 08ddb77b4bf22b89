//! The report as one self-contained page: tables, and plots in SVG.

use scoring::book::Range;

use super::Report;
use crate::arena::cast::Kind;
use crate::arena::laws::Outcome;
use crate::arena::season::Season;

/// Width and height of a plot, pixels.
const WIDTH: f64 = 720.0;
/// See [`WIDTH`].
const HEIGHT: f64 = 220.0;
/// Room left of and below a plot for the numbers on its axes, pixels.
const MARGIN: f64 = 44.0;
/// Most points of a curve: more than a screen shows.
const POINTS: usize = 360;
/// Heights of plots: the least that holds all curves is taken.
const SCALES: [f64; 6] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
/// One colour a kind, in their order; told apart by the colour-blind too.
const COLOURS: [&str; 8] =
    ["#0072b2", "#999999", "#e69f00", "#56b4e9", "#d55e00", "#cc79a7", "#009e73", "#f0e442"];
/// The colour of what is burned.
const BURNED: &str = "#222222";

/// A kind's curves over the epochs.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    kind: Kind,
    share: Vec<f64>,
    worth: Vec<Range>,
    accused: Vec<f64>,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Plots {
    curves: Vec<Curve>,
    burned: Vec<f64>,
}

impl Plots {
    pub(super) fn of(season: &Season) -> Self {
        let curves = Kind::ALL.into_iter().filter_map(|kind| Curve::of(season, kind)).collect();
        Self { curves, burned: season.burned.clone() }
    }
}

impl Curve {
    fn of(season: &Season, kind: Kind) -> Option<Self> {
        let all = season.identities.iter().enumerate();
        let members: Vec<_> = all.filter(|(_, one)| one.kind == kind).map(|(at, _)| at).collect();
        if members.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most some hundred identities")]
        let count = members.len() as f64;
        let sum = |row: &Vec<f64>| members.iter().map(|at| row[*at]).sum::<f64>();
        let mean = |row: &Vec<Range>| {
            let sum = members.iter().map(|at| row[*at]).fold(Range::default(), |a, b| a + b);
            Range { low: sum.low / count, score: sum.score / count, high: sum.high / count }
        };
        let accused_by = |epoch: u64| {
            let convicted = members
                .iter()
                .filter(|at| season.convicted[**at].is_some_and(|convicted| convicted <= epoch));
            #[expect(clippy::cast_precision_loss, reason = "at most some hundred identities")]
            let convicted = convicted.count() as f64;
            convicted / count
        };
        Some(Self {
            kind,
            share: season.incentive.iter().map(sum).collect(),
            worth: season.worth.iter().map(mean).collect(),
            accused: (1..=season.incentive.len() as u64).map(accused_by).collect(),
        })
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
    page.push_str(&plots(&report.plots));
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
    let law_word = |outcome| match outcome {
        Outcome::Holds => "<td>holds",
        Outcome::Broken => "<td class=no>broken",
        Outcome::Untried => "<td>untried",
    };
    let bounds = report.bounds.iter().map(|bound| {
        let (name, limit, value) = (&bound.name, bound.limit, bound.value);
        format!("<tr><td>{name} {limit}{}<td>{value:.4}</tr>", word(bound.holds))
    });
    let laws = report
        .laws
        .iter()
        .map(|law| format!("<tr><td>{}{}<td>{}</tr>", law.name, law_word(law.outcome), law.detail));
    let rows: String = bounds.chain(laws).collect();
    format!("<h2>Bounds and laws</h2><table>{rows}</table>")
}

fn plots(plots: &Plots) -> String {
    let each = |line: &dyn Fn(&Curve) -> Line| plots.curves.iter().map(line).collect::<Vec<_>>();
    let of = |curve: &Curve, values: &[f64]| Line {
        name: curve.kind.name(),
        colour: colour(curve.kind),
        values: values.to_vec(),
        band: None,
    };
    let mut shares = each(&|curve| of(curve, &curve.share));
    shares.push(Line {
        name: super::BURN,
        colour: BURNED,
        values: plots.burned.clone(),
        band: None,
    });
    let worths = each(&|curve| Line {
        values: curve.worth.iter().map(|worth| worth.score).collect(),
        band: Some(curve.worth.iter().map(|worth| (worth.low, worth.high)).collect()),
        ..of(curve, &[])
    });
    let accused = each(&|curve| of(curve, &curve.accused));
    [
        plot("Share of incentive", "All identities of a kind together, of 1.", &shares),
        plot(
            "Standing",
            "Mean worth of a kind's identities by the first validator, and the interval it lies in.",
            &worths,
        ),
        plot("Accusations", "Part of a kind's identities that are convicted.", &accused),
    ]
    .concat()
}

/// A curve as it is drawn.
struct Line {
    name: &'static str,
    colour: &'static str,
    values: Vec<f64>,
    /// Lower and upper ends around it.
    band: Option<Vec<(f64, f64)>>,
}

fn plot(title: &str, what: &str, lines: &[Line]) -> String {
    let epochs = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let highest = lines.iter().flat_map(|line| &line.values).copied().fold(0.0, f64::max);
    let most = SCALES.into_iter().find(|scale| highest <= *scale).unwrap_or(highest);
    let frame = Frame { epochs, most };
    let bands: String = lines.iter().map(|line| frame.band(line)).collect();
    let curves: String = lines.iter().map(|line| frame.curve(line)).collect();
    let name = |line: &Line| {
        format!("<span style=\"color:{}\">■</span> {} &nbsp; ", line.colour, line.name)
    };
    let names: Vec<_> = lines.iter().map(name).collect();
    format!(
        "<h2>{title}</h2><p>{what}</p><svg viewBox=\"{left} -8 {w} {h}\" width=\"100%\" role=\"img\" \
         aria-label=\"{title}\">{axes}{bands}{curves}</svg><p>{names}</p>",
        names = names.concat(),
        left = -MARGIN,
        w = WIDTH + MARGIN + 16.0,
        h = HEIGHT + MARGIN,
        axes = frame.axes(),
    )
}

/// Where epochs and values lie on a plot.
#[derive(Clone, Copy)]
struct Frame {
    epochs: usize,
    /// The value at the top.
    most: f64,
}

impl Frame {
    #[expect(clippy::cast_precision_loss, reason = "epochs are far below 2^53")]
    fn x(self, at: usize) -> f64 {
        WIDTH * at as f64 / self.epochs.saturating_sub(1).max(1) as f64
    }

    fn y(self, value: f64) -> f64 {
        HEIGHT * (1.0 - (value / self.most).clamp(0.0, 1.0))
    }

    fn axes(self) -> String {
        let tick = |quarter: u8| {
            let value = self.most * f64::from(quarter) / 4.0;
            let at = self.epochs.saturating_sub(1) * usize::from(quarter) / 4;
            format!(
                "<path d=\"M0 {y:.1}H{WIDTH}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"-6\" y=\"{beside:.1}\" text-anchor=\"end\">{value:.decimals$}</text>\
                 <text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{epoch}</text>",
                y = self.y(value),
                beside = self.y(value) + 4.0,
                decimals = if self.most < 0.2 { 3 } else { 2 },
                x = self.x(at),
                below = HEIGHT + 16.0,
                epoch = at + 1,
            )
        };
        let ticks: Vec<_> = (0..=4).map(tick).collect();
        format!(
            "<g font-size=\"11\" fill=\"#666\" stroke=\"none\">{}\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">epoch</text></g>",
            ticks.concat(),
            WIDTH / 2.0,
            HEIGHT + 31.0
        )
    }

    /// The places at which a curve of so many values is drawn: all, or evenly spread ones.
    fn places(values: usize) -> impl DoubleEndedIterator<Item = usize> {
        let step = values.div_ceil(POINTS).max(1);
        (0..values.div_ceil(step)).map(move |index| index * step)
    }

    fn curve(self, line: &Line) -> String {
        let point = |at: usize| format!("{:.1},{:.1}", self.x(at), self.y(line.values[at]));
        let points: Vec<_> = Self::places(line.values.len()).map(point).collect();
        format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            points.join(" "),
            line.colour
        )
    }

    fn band(self, line: &Line) -> String {
        let Some(band) = &line.band else { return String::new() };
        let low = |at: usize| format!("{:.1},{:.1}", self.x(at), self.y(band[at].0));
        let high = |at: usize| format!("{:.1},{:.1}", self.x(at), self.y(band[at].1));
        let there = Self::places(band.len()).map(low);
        let back = Self::places(band.len()).rev().map(high);
        let points: Vec<_> = there.chain(back).collect();
        format!(
            "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.15\"/>",
            points.join(" "),
            line.colour
        )
    }
}

fn colour(kind: Kind) -> &'static str {
    COLOURS[kind as usize]
}
