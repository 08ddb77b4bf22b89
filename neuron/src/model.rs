//! Which model, loaded off the async threads.

use inference::{
    Device, DeviceError, IdError, LoadError, LoadOptions, Model, ModelSource, NumericClass,
};
use serde::{Deserialize, Serialize};

use crate::settings::{Kind, Setting};

/// `[model]`: which weights, in which arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// `tiny` (shipped), a name of the hub catalogue, or a path.
    pub source: String,
    /// Numeric class to run in; where not set, the one nearest to the file.
    pub class: Option<String>,
    /// Threads to compute with; where not set, chosen by the machine.
    pub threads: Option<usize>,
    /// Where to compute: `cpu`, `cuda`, `metal` or `auto`.
    pub device: String,
}

impl Default for ModelSettings {
    fn default() -> Self {
        let device = Device::Auto.name().into();
        Self { source: "tiny".into(), class: None, threads: None, device }
    }
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No such numeric class.
    #[error("`{class}` is no numeric class")]
    Class {
        /// What was given.
        class: String,
        /// Which there are.
        source: IdError,
    },
    /// No such device, or one that will not do.
    #[error("the model's device will not do")]
    Device(#[from] DeviceError),
    /// The weights, the tokenizer or the configuration cannot be loaded.
    #[error("cannot load the model `{from}`")]
    Load {
        /// What was given.
        from: String,
        /// Why not.
        source: Box<LoadError>,
    },
    /// Loading ended without a result: the process is shutting down.
    #[error("loading the model `{from}` was given up")]
    GivenUp {
        /// What was given.
        from: String,
    },
}

impl ModelSettings {
    /// The lines of a program's table for this section.
    pub fn table() -> [Setting; 4] {
        [
            Setting {
                key: "model.source",
                flag: "model",
                short: None,
                aliases: &[],
                env: &[],
                kind: Kind::Text,
                help: "tiny (shipped), a name of the hub catalogue such as smollm2-135m, or a path",
            },
            Setting {
                key: "model.class",
                flag: "model-class",
                short: None,
                aliases: &[],
                env: &[],
                kind: Kind::Text,
                help: "Numeric class to run in: f32, bf16, q8_0-block32, …",
            },
            Setting {
                key: "model.threads",
                flag: "model-threads",
                short: None,
                aliases: &[],
                env: &[],
                kind: Kind::Integer,
                help: "Threads to compute with",
            },
            Setting {
                key: "model.device",
                flag: "device",
                short: None,
                aliases: &[],
                env: &[],
                kind: Kind::Text,
                help: "Where to compute: cpu; cuda, in bf16; metal, in bf16 or f32; auto: cuda for bf16 \
                       where a device is",
            },
        ]
    }

    /// The class asked for, if one is.
    pub fn class(&self) -> Result<Option<NumericClass>, ModelError> {
        self.class
            .as_ref()
            .map(|class| {
                class.parse().map_err(|source| ModelError::Class { class: class.clone(), source })
            })
            .transpose()
    }

    /// Loads the model, in `class` where one is given and else as configured. Blocks no other task.
    pub async fn load(&self, class: Option<NumericClass>) -> Result<Model, ModelError> {
        let mut options = LoadOptions::default().with_device(self.device.parse()?);
        if let Some(class) = class.or(self.class()?) {
            options = options.with_class(class);
        }
        if let Some(threads) = self.threads {
            options = options.with_threads(threads);
        }
        let source = ModelSource::parse(&self.source);
        let loading = tokio::task::spawn_blocking(move || Model::load(&source, options));
        match loading.await {
            Ok(Ok(model)) => Ok(model),
            Ok(Err(LoadError::Device(error))) => Err(error.into()),
            Ok(Err(source)) => {
                Err(ModelError::Load { from: self.source.clone(), source: Box::new(source) })
            }
            Err(_) => Err(ModelError::GivenUp { from: self.source.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_file_and_a_wrong_class_are_named() {
        let missing = ModelSettings { source: "/nowhere/x.gguf".into(), ..Default::default() };
        let error = missing.load(None).await.unwrap_err();
        assert!(matches!(error, ModelError::Load { from, .. } if from == "/nowhere/x.gguf"));
        let wrong = ModelSettings { class: Some("f33".into()), ..Default::default() };
        let error = wrong.load(None).await.unwrap_err();
        assert!(matches!(error, ModelError::Class { class, .. } if class == "f33"));
        let nowhere = ModelSettings { device: "tpu".into(), ..Default::default() };
        let error = nowhere.load(None).await.unwrap_err();
        assert!(matches!(error, ModelError::Device(DeviceError::Unknown(name)) if name == "tpu"));
    }
}
