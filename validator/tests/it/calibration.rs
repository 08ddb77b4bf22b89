//! The tables that ship are those that a validator would measure.

use std::sync::Arc;

use inference::{Engine, EngineOptions, LoadOptions, Model, ModelSource};
use subnet_rules::serve::{Calibration, calibrate};
use validator::EngineReference;

#[tokio::test]
async fn the_table_that_ships_for_the_tiny_model_is_what_a_validator_measures() {
    let model = Model::load(&ModelSource::Tiny, LoadOptions::default()).unwrap();
    let engine = Engine::start(model, EngineOptions::default());
    let ships = Calibration::known(&engine.model_id().to_string());
    let reference = EngineReference(Arc::new(engine));
    assert_eq!(ships, Some(calibrate::measure(&reference).await.unwrap()));
}
