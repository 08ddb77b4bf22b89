//! Worlds: the miners of a season, one module a rule.

pub mod forecasting;
pub mod forging;
pub mod serving;
pub mod table;
pub mod texts;
pub mod tuning;
