//! A checkpoint's tensors, brought one by one to what a class stores, and digested on the way.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{BLOCK, Encoded, Format, LoadError, Stored, Tensors};
use crate::{Deviation, ModelId, NumericClass, config::Config};

/// Reads tensors in canonical order, digesting each as it is encoded.
pub(crate) struct Loader {
    tensors: Box<dyn Tensors>,
    class: NumericClass,
    deviation: Option<Deviation>,
    digest: Sha256,
    /// While planning: the names that were asked for.
    planned: Option<BTreeSet<String>>,
}

impl Loader {
    pub(crate) fn new(
        tensors: Box<dyn Tensors>,
        class: NumericClass,
        deviation: Option<Deviation>,
    ) -> Self {
        Self { tensors, class, deviation, digest: Sha256::new(), planned: None }
    }

    /// Runs `read` without reading: it learns names and shapes. Then refuses a tensor that `read` did not
    /// ask for.
    pub(crate) fn plan(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        self.planned = Some(BTreeSet::new());
        let outcome = read(self);
        let planned = self.planned.take().unwrap_or_default();
        outcome?;
        match self.tensors.left_over(&planned) {
            Some(name) => Err(LoadError::Unread { name }),
            None => Ok(()),
        }
    }

    /// A tensor that may be there and is not needed.
    pub(crate) fn pass_over(&mut self, name: &str) {
        if let Some(planned) = &mut self.planned {
            planned.insert(name.to_owned());
        }
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
        let Some(stored) = self.stored(name, rows, cols)? else {
            return self.unread(name, rows, cols, Format::of_layer(self.class));
        };
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
        let format = Format::of_words(self.class);
        match self.stored(name, rows, cols)? {
            Some(stored) => self.encode(name, stored, format),
            None => self.unread(name, rows, cols, format),
        }
    }

    /// What chooses between experts: kept as fine as vectors are.
    pub(crate) fn router(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Encoded, LoadError> {
        let format = Format::of_vector(self.class);
        match self.stored(name, rows, cols)? {
            Some(stored) => self.encode(name, stored, format),
            None => self.unread(name, rows, cols, format),
        }
    }

    /// A norm or a bias.
    pub(crate) fn vector(&mut self, name: &str, cols: usize) -> Result<Vec<f32>, LoadError> {
        match self.stored(name, 1, cols)? {
            Some(stored) => {
                Ok(self.encode(name, stored, Format::of_vector(self.class))?.into_vector())
            }
            None => Ok(Vec::new()),
        }
    }

    /// A norm's weights, whole.
    pub(crate) fn norm(
        &mut self,
        name: &str,
        cols: usize,
        config: &Config,
    ) -> Result<Vec<f32>, LoadError> {
        let mut values = self.vector(name, cols)?;
        if config.family.norm_offset() && !self.tensors.holds_norms_whole() {
            for value in &mut values {
                *value += 1.0;
            }
        }
        Ok(values)
    }

    /// What was loaded.
    pub(crate) fn finish(mut self) -> ModelId {
        if let Some(deviation) = self.deviation {
            self.digest.update(deviation.tag());
        }
        ModelId { digest: self.digest.finalize().into(), class: self.class }
    }

    /// What stands for a tensor while planning.
    fn unread(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
        format: Format,
    ) -> Result<Encoded, LoadError> {
        self.check_width(name, cols, format)?;
        Ok(Encoded { rows, cols, format, bytes: Vec::new() })
    }

    /// A tensor of the shape that the configuration says; `None` while planning.
    fn stored(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Option<Stored>, LoadError> {
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
        if let Some(planned) = &mut self.planned {
            planned.insert(name.to_owned());
            return Ok(None);
        }
        self.tensors.read(name).map(Some)
    }

    fn check_width(&self, name: &str, cols: usize, format: Format) -> Result<(), LoadError> {
        if format.block_bytes().is_some() && !cols.is_multiple_of(BLOCK) {
            let class = self.class;
            return Err(LoadError::BlockWidth { name: name.to_owned(), cols, class });
        }
        Ok(())
    }

    fn encode(&mut self, name: &str, stored: Stored, format: Format) -> Result<Encoded, LoadError> {
        self.check_width(name, stored.cols, format)?;
        let encoded = Encoded::new(name, stored, format)?;
        encoded.digest_into(name, &mut self.digest);
        Ok(encoded)
    }
}
