//! Files that are broken, hostile or of another kind: a clear error, and nothing allocated for them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::Path;

use inference::{HeaderError, LoadError, LoadOptions, Model, ModelSource, bench};
use proptest::prelude::*;

fn load(path: &Path) -> Result<Model, LoadError> {
    Model::load(&ModelSource::Path(path.to_owned()), LoadOptions::default())
}

fn load_bytes(name: &str, bytes: &[u8]) -> LoadError {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    load(&path).unwrap_err()
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nowhere/model.gguf")).unwrap_err();
    assert!(matches!(&error, LoadError::Io { .. }));
    assert!(error.to_string().contains("/nowhere/model.gguf"));
}

#[test]
fn formats_that_run_code_or_are_not_ours_are_refused_by_name() {
    for (bytes, name) in [
        (&b"PK\x03\x04rest of zip"[..], "zipped pickle (PyTorch)"),
        (b"\x80\x02}q\x00more..", "pickle (PyTorch)"),
        (b"lmgg\x01\x00\x00\x00", "GGML"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"GG", "too short"),
    ] {
        let error = load_bytes("model.bin", bytes);
        assert!(matches!(error, LoadError::Format { format, .. } if format == name), "{name}");
    }
}

/// A GGUF header: magic, version, tensors, entries.
fn gguf(tensors: u64, entries: u64) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\x00\x00\x00".to_vec();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes
}

#[test]
fn sizes_that_the_file_does_not_have_are_refused_before_anything_is_allocated() {
    let before = bench::peak_rss_mb().unwrap_or(0.0);
    let mut long_string = gguf(0, 1);
    long_string.extend(u64::MAX.to_le_bytes());
    long_string.extend([0; 16]);
    let mut long_array = gguf(0, 1);
    long_array.extend(1_u64.to_le_bytes());
    long_array.extend(b"k\x09\x00\x00\x00\x04\x00\x00\x00");
    long_array.extend((1_u64 << 60).to_le_bytes());
    let mut safetensors = (u64::MAX / 2).to_le_bytes().to_vec();
    safetensors.extend(b"{}");
    for hostile in
        [gguf(u64::MAX, 0), gguf(0, u64::MAX), gguf(9999, 0), long_string, long_array, safetensors]
    {
        let error = load_bytes("model", &hostile);
        assert!(
            matches!(
                error,
                LoadError::Header {
                    reason: HeaderError::Truncated { .. } | HeaderError::Bound { .. },
                    ..
                }
            ),
            "{error}"
        );
    }
    let after = bench::peak_rss_mb().unwrap_or(0.0);
    assert!(after - before < 50.0, "{before} to {after} MB");
}

#[test]
fn a_tensor_beyond_the_end_of_a_safetensors_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    let path = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(
        matches!(error, LoadError::Header { reason: HeaderError::Truncated { .. }, .. }),
        "{error}"
    );
}

#[test]
fn a_tensor_of_another_shape_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    // The file has the eight gigabytes that it declares, though none of them on disk.
    let header = r#"{"model.embed_tokens.weight":{"dtype":"F32","shape":[46340,46340],"data_offsets":[0,8589582400]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, &bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(8 << 30).unwrap();
    let before = bench::peak_rss_mb().unwrap_or(0.0);
    assert!(matches!(load(dir.path()).unwrap_err(), LoadError::Shape { rows: 46340, .. }));
    assert!(bench::peak_rss_mb().unwrap_or(0.0) - before < 50.0);
}

#[test]
fn strings_and_arrays_are_bounded_all_together() {
    let entry = |key: u8, kind: u32, value: &[u8]| {
        [&1_u64.to_le_bytes()[..], &[key], &kind.to_le_bytes(), value].concat()
    };
    let text = [&(1_u64 << 20).to_le_bytes()[..], &vec![b'x'; 1 << 20]].concat();
    let array =
        [&0_u32.to_le_bytes()[..], &(3_u64 << 20).to_le_bytes(), &vec![0; 3 << 20]].concat();
    for (kind, value, count) in [(8, text, 17), (9, array, 2)] {
        let entries = (0..count).flat_map(|key| entry(b'a' + key, kind, &value));
        let bytes: Vec<u8> = gguf(0, count.into()).into_iter().chain(entries).collect();
        let error = load_bytes("model.gguf", &bytes);
        let bound = |reason: &HeaderError| matches!(reason, HeaderError::Bound { .. });
        assert!(matches!(&error, LoadError::Header { reason, .. } if bound(reason)), "{error}");
    }
}

#[test]
fn another_architecture_and_another_models_tokenizer_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    let change = |from: &str, to: &str| {
        std::fs::write(dir.path().join("config.json"), config.replace(from, to)).unwrap();
        load(dir.path()).unwrap_err()
    };
    assert!(matches!(change("\"llama\"", "\"mamba\""), LoadError::Config { .. }));
    assert!(matches!(
        change("\"vocab_size\":257", "\"vocab_size\":200"),
        LoadError::Tokenizer { .. }
    ));
    assert!(matches!(change("\"hidden_size\":64", "\"hidden_size\":128"), LoadError::Shape { .. }));
    assert!(matches!(
        change("\"num_key_value_heads\":2", "\"num_key_value_heads\":3"),
        LoadError::Config { .. }
    ));
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    let path = dir.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(load(dir.path()).unwrap_err(), LoadError::NotFinite { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_gguf_reader_is_total(tail in proptest::collection::vec(any::<u8>(), 0..200), entries in 0_u64..4) {
        let mut bytes = gguf(1, entries);
        bytes.extend(tail);
        load_bytes("model.gguf", &bytes);
    }
}
