//! Short series whose hidden regime decides how they go on, so that no one way of forecasting is best
//! everywhere.
//!
//! Numbers are thousandths. The regime shows through two covariates: each regime has a corner of the
//! square of side 1, and the covariates lie around it ([`context`] tells the corner back).

use serde::{Deserialize, Serialize};

use crate::prf::Prf;

/// Observations of a series.
pub const HISTORY: usize = 24;
/// Steps from the last observation to the truth.
pub const HORIZON: usize = 3;
/// Period of the seasonal regime: odd, so that an alternating series is not also seasonal.
pub const PERIOD: usize = 5;
/// How many corners, regimes and contexts there are.
pub const CONTEXTS: usize = 4;
/// Standard deviation of what nobody can forecast, of a typical value.
const NOISE: f64 = 0.1;
/// Standard deviation of covariates around their corner: one in a thousand lies nearer to another.
const BLUR: f64 = 0.15;

/// What a forecaster sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Two covariates, thousandths.
    pub covariates: [i32; 2],
    /// [`HISTORY`] observations, thousandths, oldest first.
    pub history: Vec<i32>,
}

/// How a series goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regime {
    /// A level that changed one or two observations ago and stays.
    Step,
    /// The same size with the sign turning at every step.
    Alternating,
    /// A pattern of [`PERIOD`] values again and again.
    Seasonal,
    /// A straight line.
    Trend,
}

const REGIMES: [Regime; CONTEXTS] =
    [Regime::Step, Regime::Alternating, Regime::Seasonal, Regime::Trend];

/// Which corner the covariates are nearest to, below [`CONTEXTS`].
pub fn context(series: &Series) -> usize {
    let [a, b] = series.covariates.map(|covariate| usize::from(covariate > 0));
    2 * a + b
}

/// A series and its truth [`HORIZON`] steps on, thousandths.
pub fn draw(prf: &mut Prf) -> (Series, i32) {
    let corner = prf.index(CONTEXTS);
    let side = |high: bool, prf: &mut Prf| {
        let centre = if high { 0.5 } else { -0.5 };
        thousandths(centre + BLUR * prf.normal())
    };
    let covariates = [side(corner >= 2, prf), side(corner % 2 == 1, prf)];
    let path = path(REGIMES[corner], prf);
    let mut noisy = path.into_iter().map(|value| thousandths(value + NOISE * prf.normal()));
    let history: Vec<_> = noisy.by_ref().take(HISTORY).collect();
    let truth = noisy.last().unwrap_or(0);
    (Series { covariates, history }, truth)
}

/// The values without noise, up to the truth.
fn path(regime: Regime, prf: &mut Prf) -> Vec<f64> {
    let steps = HISTORY + HORIZON;
    let sign = if prf.chance(0.5) { 1.0 } else { -1.0 };
    let size = sign * (0.6 + prf.unit());
    match regime {
        Regime::Step => {
            let at = HISTORY - 1 - prf.index(2);
            let before = -size + 0.3 * prf.normal();
            (0..steps).map(|step| if step < at { before } else { size }).collect()
        }
        Regime::Alternating => {
            (0..steps).map(|step| if step % 2 == 0 { size } else { -size }).collect()
        }
        Regime::Seasonal => {
            let pattern: [f64; PERIOD] = std::array::from_fn(|_| prf.normal());
            (0..steps).map(|step| pattern[step % PERIOD]).collect()
        }
        Regime::Trend => {
            let (slope, middle) = (size * 0.3, prf.normal());
            let from_middle = (0..steps)
                .map(|step| f64::from(u32::try_from(step).unwrap_or(0)) - f64::from(HISTORY_U32));
            from_middle.map(|step| middle + slope * step).collect()
        }
    }
}

/// [`HISTORY`] as a number that converts to a double without loss.
const HISTORY_U32: u32 = 24;
const _: () = assert!(HISTORY_U32 as usize == HISTORY);

/// Rounds to thousandths; a value beyond ±1,000 is clamped there.
pub fn thousandths(value: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a million thousandths")]
    let rounded = libm::rint((value * 1000.0).clamp(-1e6, 1e6)) as i32;
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_the_regime_but_for_one_in_a_hundred() {
        let mut prf = Prf::from_seed(1);
        let persists =
            |series: &Series, truth: i32| (series.history[HISTORY - 1] - truth).abs() < 450;
        // In the first context the last value lasts; in the second it turns its sign.
        let (mut kept, mut seen) = ([0_u32; CONTEXTS], [0_u32; CONTEXTS]);
        for _ in 0..2_000 {
            let (series, truth) = draw(&mut prf);
            let context = context(&series);
            kept[context] += u32::from(persists(&series, truth));
            seen[context] += 1;
        }
        assert!(kept[0] * 100 >= seen[0] * 97, "{kept:?} of {seen:?}");
        assert!(kept[1] * 100 <= seen[1] * 3, "{kept:?} of {seen:?}");
    }

    #[test]
    fn every_series_has_its_whole_history() {
        let mut prf = Prf::from_seed(2);
        assert!((0..100).all(|_| draw(&mut prf).0.history.len() == HISTORY));
    }
}
