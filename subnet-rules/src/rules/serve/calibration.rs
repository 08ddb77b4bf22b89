//! How often the named model is right, by family and level; and which levels are worth asking.
//!
//! A question that the reference always answers tells a cheat from it only if the cheat is much
//! worse; one that it never answers tells nothing. So draws use the cells of the table where the
//! reference passes [`BAND`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::wording::Wording;
use crate::prf::Prf;
use crate::world::grammar::{self, Family, Level, Task};

/// Pass rates worth asking at.
const BAND: RangeInclusive<f64> = 0.3..=0.8;
/// Levels of a family.
pub const LEVELS: usize = Level::MAX as usize;

/// One family at one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Kind of question.
    pub family: Family,
    /// How hard.
    pub level: Level,
}

/// Pass counts of a model on the grammar world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// How the questions were put.
    #[serde(default, skip_serializing_if = "Wording::is_plain")]
    pub wording: Wording,
    /// Questions asked in each cell.
    #[serde(default)]
    pub asked: u32,
    /// Of these answered rightly, by family, easiest level first.
    #[serde(default)]
    pub passed: BTreeMap<Family, [u32; LEVELS]>,
}

/// A table from which no question can be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Nothing was measured yet.
    #[error("the table is empty: run `rules calibrate` with the model that the rule names")]
    Empty,
    /// More passes than questions.
    #[error("{family} at level {level} passed {passed} of {asked}")]
    Impossible {
        /// Which family.
        family: Family,
        /// Which level.
        level: usize,
        /// Passes.
        passed: u32,
        /// Questions.
        asked: u32,
    },
    /// The model answers hardly anything: its quality cannot be seen with these questions.
    #[error(
        "the model passes at most {best:.0} % at any level: these questions cannot tell it from a guess"
    )]
    TooHard {
        /// Its best pass rate, percent.
        best: f64,
    },
}

/// Tables of well-known models.
const KNOWN: &str = include_str!("../../rules/serve/calibrations.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    known: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    model: String,
    calibration: Calibration,
}

impl Calibration {
    /// The table that ships for `model` (the full text of its id), where there is one: minutes that
    /// nobody has to wait.
    pub fn known(model: &str) -> Option<Self> {
        // A file that does not parse is a bug that a test finds; here it is a model not known.
        let tables: Tables = toml::from_str(KNOWN).ok()?;
        tables.known.into_iter().find(|table| table.model == model).map(|table| table.calibration)
    }

    /// Asks `asked` questions in each cell and counts what `passes` says about each: the questions of
    /// a seed, so that two calibrations of one model agree.
    pub fn measure(asked: u32, seed: u64, mut passes: impl FnMut(&Task) -> bool) -> Self {
        let mut prf = Prf::from_seed(seed).child("calibration");
        let mut passed = BTreeMap::new();
        for family in Family::ALL {
            let mut row = [0; LEVELS];
            for (count, level) in row.iter_mut().zip(Level::all()) {
                let right = (0..asked).filter(|_| passes(&grammar::task(&mut prf, family, level)));
                *count = u32::try_from(right.count()).unwrap_or(asked);
            }
            passed.insert(family, row);
        }
        Self { wording: Wording::Plain, asked, passed }
    }

    /// The questions that [`Self::measure`] asks, in its order: for callers whose model answers
    /// asynchronously; give the outcomes in the same order to [`Self::from_outcomes`].
    pub fn questions(asked: u32, seed: u64) -> Vec<Task> {
        let mut questions = Vec::new();
        Self::measure(asked, seed, |task| {
            questions.push(task.clone());
            false
        });
        questions
    }

    /// The table of outcomes in the order of [`Self::questions`]; questions without an outcome count
    /// as failed.
    pub fn from_outcomes(asked: u32, seed: u64, outcomes: &[bool]) -> Self {
        let mut outcomes = outcomes.iter().copied();
        Self::measure(asked, seed, |_| outcomes.next().unwrap_or(false))
    }

    /// The table as one of questions put in that way.
    #[must_use]
    pub fn worded(self, wording: Wording) -> Self {
        Self { wording, ..self }
    }

    /// Pass rate of a cell; 0 where nothing was asked.
    pub fn rate(&self, cell: Cell) -> f64 {
        let row = self.passed.get(&cell.family).copied().unwrap_or_default();
        let passed = row[usize::from(cell.level.get()) - 1];
        if self.asked == 0 { 0.0 } else { f64::from(passed) / f64::from(self.asked) }
    }

    /// The cells that draws come from: those within `BAND`; where there is none, those that the
    /// model passes more often than the band, which still tell it from a guess.
    pub fn cells(&self) -> Result<Vec<Cell>, CalibrationError> {
        self.check()?;
        let all = Family::ALL
            .into_iter()
            .flat_map(|family| Level::all().map(move |level| Cell { family, level }));
        let usable: Vec<_> = all.filter(|cell| self.rate(*cell) >= *BAND.start()).collect();
        let within: Vec<_> =
            usable.iter().copied().filter(|cell| BAND.contains(&self.rate(*cell))).collect();
        match (within.is_empty(), usable.is_empty()) {
            (false, _) => Ok(within),
            (true, false) => Ok(usable),
            (true, true) => Err(CalibrationError::TooHard { best: 100.0 * self.best() }),
        }
    }

    fn best(&self) -> f64 {
        let most = self.passed.values().flatten().copied().max().unwrap_or(0);
        f64::from(most) / f64::from(self.asked.max(1))
    }

    fn check(&self) -> Result<(), CalibrationError> {
        if self.asked == 0 || self.passed.is_empty() {
            return Err(CalibrationError::Empty);
        }
        for (family, row) in &self.passed {
            if let Some(index) = row.iter().position(|passed| *passed > self.asked) {
                return Err(CalibrationError::Impossible {
                    family: *family,
                    level: index + 1,
                    passed: row[index],
                    asked: self.asked,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(Family, [u32; LEVELS])]) -> Calibration {
        let passed = rows.iter().copied().collect();
        Calibration { asked: 10, passed, ..Calibration::default() }
    }

    #[test]
    fn draws_come_from_cells_that_pass_between_thirty_and_eighty_percent() {
        let table = table(&[(Family::Copy, [10, 9, 8, 5, 3, 2])]);
        let levels: Vec<_> = table.cells().unwrap().iter().map(|cell| cell.level.get()).collect();
        assert_eq!(levels, [3, 4, 5]);
    }

    #[test]
    fn a_model_too_good_for_the_band_is_asked_what_it_knows() {
        let table = table(&[(Family::Copy, [10, 10, 1, 0, 0, 0])]);
        assert_eq!(table.cells().unwrap().len(), 2);
    }

    #[test]
    fn a_model_that_answers_nothing_is_refused_with_its_best_rate() {
        let table = table(&[(Family::Copy, [2, 1, 0, 0, 0, 0])]);
        assert_eq!(table.cells(), Err(CalibrationError::TooHard { best: 20.0 }));
    }

    #[test]
    fn every_table_that_ships_names_a_model_and_has_questions_worth_asking() {
        let tables: Tables = toml::from_str(KNOWN).unwrap();
        assert!(!tables.known.is_empty());
        for Table { model, calibration } in tables.known {
            assert!(!calibration.cells().unwrap().is_empty(), "{model}");
            assert_eq!(Calibration::known(&model), Some(calibration));
        }
        assert_eq!(Calibration::known("none:f32"), None);
    }

    #[test]
    fn impossible_tables_are_refused() {
        assert_eq!(Calibration::default().cells(), Err(CalibrationError::Empty));
        let table = table(&[(Family::Copy, [11, 0, 0, 0, 0, 0])]);
        assert!(matches!(table.cells(), Err(CalibrationError::Impossible { level: 1, .. })));
    }

    #[test]
    fn outcomes_in_the_order_of_the_questions_give_the_same_table() {
        let passes = |task: &Task| task.level.get() < 3;
        let outcomes: Vec<_> = Calibration::questions(4, 9).iter().map(passes).collect();
        assert_eq!(Calibration::from_outcomes(4, 9, &outcomes), Calibration::measure(4, 9, passes));
    }
}
