//! A checkpoint's tensors, brought one by one to what a class stores, and digested on the way.

use sha2::{Digest, Sha256};

use super::{BLOCK, Encoded, Format, LoadError, Stored, Tensors};
use crate::{Deviation, ModelId, NumericClass};

/// Reads tensors in canonical order, digesting each as it is encoded.
pub(crate) struct Loader {
    tensors: Box<dyn Tensors>,
    class: NumericClass,
    deviation: Option<Deviation>,
    digest: Sha256,
}

impl Loader {
    pub(crate) fn new(
        tensors: Box<dyn Tensors>,
        class: NumericClass,
        deviation: Option<Deviation>,
    ) -> Self {
        Self { tensors, class, deviation, digest: Sha256::new() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.has(name)
    }

    /// A layer's matrix.
    pub(crate) fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Encoded, LoadError> {
        let stored = self.stored(name, rows, cols)?;
        let stored = match self.deviation {
            Some(deviation) => deviation.matrix(name, stored)?,
            None => stored,
        };
        self.encode(name, stored, Format::of_layer(self.class))
    }

    /// The embedding or the head.
    pub(crate) fn words(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Encoded, LoadError> {
        let stored = self.stored(name, rows, cols)?;
        self.encode(name, stored, Format::of_words(self.class))
    }

    /// A norm or a bias.
    pub(crate) fn vector(&mut self, name: &str, cols: usize) -> Result<Vec<f32>, LoadError> {
        let stored = self.stored(name, 1, cols)?;
        Ok(self.encode(name, stored, Format::of_vector(self.class))?.into_vector())
    }

    /// What was loaded.
    pub(crate) fn finish(mut self) -> ModelId {
        if let Some(deviation) = self.deviation {
            self.digest.update(deviation.tag());
        }
        ModelId { digest: self.digest.finalize().into(), class: self.class }
    }

    /// A tensor of the shape that the configuration says.
    fn stored(&mut self, name: &str, rows: usize, cols: usize) -> Result<Stored, LoadError> {
        let found = self.tensors.shape(name)?;
        if found != (rows, cols) {
            return Err(LoadError::Shape {
                name: name.to_owned(),
                rows: found.0,
                cols: found.1,
                want_rows: rows,
                want_cols: cols,
            });
        }
        self.tensors.read(name)
    }

    fn encode(&mut self, name: &str, stored: Stored, format: Format) -> Result<Encoded, LoadError> {
        let cols = stored.cols;
        if format.block_bytes().is_some() && !cols.is_multiple_of(BLOCK) {
            let class = self.class;
            return Err(LoadError::BlockWidth { name: name.to_owned(), cols, class });
        }
        let encoded = Encoded::new(name, stored, format)?;
        encoded.digest_into(name, &mut self.digest);
        Ok(encoded)
    }
}
