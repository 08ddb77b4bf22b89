//! A GGUF file written anew in another class.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
};

use super::{
    Container, Encoded, Format, LoadError, Source, Stored,
    gguf::{Header, Place},
    recognise,
};
use crate::NumericClass;

/// Version of the format that is written.
const VERSION: u32 = 3;

/// Tensors begin at multiples of this, unless the source's metadata says otherwise.
const PAD: [u8; 32] = [0; 32];

/// Writes the GGUF file `from` to `to` with its matrices in `class`, its metadata byte for byte, and
/// its vectors in f32, as every reader expects them. `progress` hears of tensors done, and of all.
/// Returns the bytes written.
///
/// # Errors
/// A source that is no readable GGUF file, a class whose blocks do not divide a width, a target that
/// exists or cannot be written. Nothing is left at `to` then.
pub fn requantise(
    from: &Path,
    class: NumericClass,
    to: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, LoadError> {
    if from.is_dir() {
        let format = "folder (only GGUF files are converted; a model's folder runs in any class)";
        return Err(LoadError::Format { path: from.to_owned(), format });
    }
    let mut source = Source::open(from)?;
    let mut magic = [0; 8];
    let seen = source.read_some(&mut magic)?;
    match recognise(&magic[..seen]) {
        Container::Gguf => {}
        Container::Foreign(format) => {
            return Err(LoadError::Format { path: from.to_owned(), format });
        }
        Container::Safetensors => {
            let format = "safetensors (only GGUF files are converted)";
            return Err(LoadError::Format { path: from.to_owned(), format });
        }
    }
    let mut header = Header::read(source)?;
    // An architecture that is not served here is not converted either: names decide what is a word.
    header.config()?;
    if header.is_split() {
        let format = "part of a split GGUF (join the parts first)";
        return Err(LoadError::Format { path: from.to_owned(), format });
    }
    let target = Target::create(to)?;
    let written = target.write(&mut header, class, &mut progress)?;
    target.publish()?;
    Ok(written)
}

/// A file that gets its name when it is whole.
struct Target<'a> {
    path: &'a Path,
    partial: PathBuf,
}

impl<'a> Target<'a> {
    fn create(path: &'a Path) -> Result<Self, LoadError> {
        if path.exists() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(LoadError::Io { path: path.to_owned(), source });
        }
        let mut partial = path.to_owned().into_os_string();
        partial.push(".partial");
        Ok(Self { path, partial: partial.into() })
    }

    fn io(&self) -> impl Fn(io::Error) -> LoadError {
        |source| LoadError::Io { path: self.partial.clone(), source }
    }

    fn write(
        &self,
        header: &mut Header,
        class: NumericClass,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<u64, LoadError> {
        let mut plan: Vec<Tensor> = header.tensors(class)?;
        plan.sort_by_key(|tensor| tensor.from);
        let mut out = BufWriter::new(File::create(&self.partial).map_err(self.io())?);
        let lead = lead(header, class, &plan)?;
        out.write_all(&lead).map_err(self.io())?;
        let all = plan.len() as u64;
        for (done, tensor) in (1..).zip(&plan) {
            let stored = header.stored(&tensor.name)?;
            let encoded = Encoded::new(&tensor.name, stored, tensor.format)?;
            out.write_all(&encoded.bytes).map_err(self.io())?;
            out.write_all(padding(encoded.bytes.len())).map_err(self.io())?;
            progress(done, all);
        }
        out.flush().map_err(self.io())?;
        let mut file = out.into_inner().map_err(|error| self.io()(error.into_error()))?;
        file.sync_all().map_err(self.io())?;
        file.stream_position().map_err(self.io())
    }

    fn publish(self) -> Result<(), LoadError> {
        fs::rename(&self.partial, self.path).map_err(self.io())
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        // Gone already where the file was published.
        drop(fs::remove_file(&self.partial));
    }
}

/// A tensor to write.
struct Tensor {
    name: String,
    format: Format,
    /// Where it lies in the source, which gives the order.
    from: u64,
    /// Innermost first, as GGUF lists them.
    shape: Vec<u64>,
    length: usize,
}

impl Header {
    fn tensors(&self, class: NumericClass) -> Result<Vec<Tensor>, LoadError> {
        self.check_types()?;
        self.places.iter().map(|(name, place)| tensor(name, place, class)).collect()
    }

    fn stored(&mut self, name: &str) -> Result<Stored, LoadError> {
        let missing = || LoadError::MissingTensor { name: name.to_owned() };
        let Place { rows, cols, dtype, offset, length, .. } =
            *self.places.get(name).ok_or_else(missing)?;
        let bytes = self.source.bytes("a tensor", offset, length)?;
        Ok(Stored { rows, cols, dtype, bytes })
    }
}

fn tensor(name: &str, place: &Place, class: NumericClass) -> Result<Tensor, LoadError> {
    let Place { rows, cols, offset: from, .. } = *place;
    let format = match name {
        _ if rows == 1 || name.ends_with("ffn_gate_inp.weight") => Format::F32,
        "token_embd.weight" | "output.weight" => Format::of_words(class),
        _ => Format::of_layer(class),
    };
    let Some(length) = format.bytes(rows, cols) else {
        return Err(LoadError::BlockWidth { name: name.to_owned(), cols, class });
    };
    let shape = if rows == 1 { vec![cols as u64] } else { place.shape.clone() };
    Ok(Tensor { name: name.to_owned(), format, from, shape, length })
}

/// Everything before the data.
fn lead(header: &mut Header, class: NumericClass, plan: &[Tensor]) -> Result<Vec<u8>, LoadError> {
    let mut lead = b"GGUF".to_vec();
    lead.extend(VERSION.to_le_bytes());
    lead.extend((plan.len() as u64).to_le_bytes());
    lead.extend(header.entries.to_le_bytes());
    lead.extend(header.raw_metadata(file_type(class))?);
    let mut offset = 0_u64;
    for tensor in plan {
        lead.extend((tensor.name.len() as u64).to_le_bytes());
        lead.extend(tensor.name.as_bytes());
        lead.extend(u32::try_from(tensor.shape.len()).unwrap_or(u32::MAX).to_le_bytes());
        lead.extend(tensor.shape.iter().flat_map(|size| size.to_le_bytes()));
        lead.extend(type_code(tensor.format).to_le_bytes());
        lead.extend(offset.to_le_bytes());
        offset += (tensor.length + padding(tensor.length).len()) as u64;
    }
    lead.extend(padding(lead.len()));
    Ok(lead)
}

const fn padding(length: usize) -> &'static [u8] {
    let (pad, _) = PAD.split_at(length.next_multiple_of(PAD.len()) - length);
    pad
}

/// GGML's code of a storage type.
const fn type_code(format: Format) -> u32 {
    match format {
        Format::F32 => 0,
        Format::Q4_0 => 2,
        Format::Q4_1 => 3,
        Format::Q8_0 => 8,
        Format::Bf16 => 30,
    }
}

/// llama.cpp's code of a file's main type, the metadata's `general.file_type`.
const fn file_type(class: NumericClass) -> u32 {
    match class {
        NumericClass::F32 => 0,
        NumericClass::Q4_0Block32 => 2,
        NumericClass::Q4_1Block32 => 3,
        NumericClass::Q8_0Block32 => 7,
        NumericClass::Bf16 => 32,
    }
}
