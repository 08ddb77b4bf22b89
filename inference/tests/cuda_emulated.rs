//! The engine on CUDA from end to end, without a device: NVIDIA's driver is replaced by one that runs
//! our kernels on this machine (`cuda/emulator`), and everything above it is what a device would run.
//! Held against the engine on this machine's processors.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::unwrap_used,
    reason = "small numbers; helpers of tests fail as tests do"
)]

use std::{
    ffi::CString,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use inference::{
    Completion, Device, DeviceError, Engine, EngineError, EngineOptions, Job, LoadError,
    LoadOptions, Model, ModelSource, NumericClass, Prompt, Sampling,
    evidence::{Pair, Scheme, side},
};

use safetensors::{Dtype, tensor::TensorView};

mod support;

/// The emulated machine: one at a time, since it is one for the whole process.
struct Machine {
    library: &'static libloading::Library,
    _alone: MutexGuard<'static, ()>,
}

impl Machine {
    #[expect(unsafe_code, reason = "opening a library runs its constructors")]
    fn new() -> Self {
        static LIBRARY: OnceLock<libloading::Library> = OnceLock::new();
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: built from this repository.
        let library = LIBRARY.get_or_init(|| unsafe {
            libloading::Library::new(env!("GANGLION_EMULATED_CUDA")).unwrap()
        });
        let machine = Self { library, _alone: alone };
        for (name, value) in DEFAULTS {
            machine.set(name, value);
        }
        machine
    }

    #[expect(unsafe_code, reason = "calls the emulated driver")]
    fn set(&self, name: &str, value: i64) {
        type Set = unsafe extern "C" fn(*const std::ffi::c_char, i64) -> i32;
        let text = CString::new(name).unwrap();
        // SAFETY: the function has this type (driver.cpp), and the text outlives the call.
        let code = unsafe {
            let set: libloading::Symbol<'_, Set> =
                self.library.get(b"ganglion_emulated_set").unwrap();
            set(text.as_ptr(), value)
        };
        assert_eq!(code, 0, "{name}");
    }
}

const DEFAULTS: [(&str, i64); 6] = [
    ("driver_version", 13_000),
    ("devices", 1),
    ("capability", 90),
    ("memory", 4 << 30),
    ("launches_left", -1),
    ("seed", 1),
];

fn on(device: Device) -> LoadOptions {
    LoadOptions::default().with_class(NumericClass::Bf16).with_device(device)
}

fn tiny(device: Device) -> Arc<Model> {
    Arc::new(Model::load(&ModelSource::Tiny, on(device)).unwrap())
}

fn engine(device: Device, options: EngineOptions) -> Engine {
    Engine::open(tiny(device), options).unwrap()
}

fn small() -> EngineOptions {
    EngineOptions { sequences: 8, step_tokens: 64, kv_tokens: 2048, ..EngineOptions::default() }
}

const PROMPT: &str = "Q: What is the next number? 3 7 11 15\nA:";

fn job(prompt: &str, tokens: u32, sampling: Sampling) -> Job {
    Job { ignore_end: true, ..Job::new(prompt, tokens, sampling) }
}

async fn complete(engine: &Engine, prompt: &str, tokens: u32, seed: u64) -> Completion {
    let sampling = Sampling::new(1.0, seed).unwrap();
    engine.generate(job(prompt, tokens, sampling)).await.unwrap()
}

#[tokio::test]
async fn a_device_continues_as_the_processors_do_in_bf16() {
    let _machine = Machine::new();
    let (cpu, cuda) = (engine(Device::Cpu, small()), engine(Device::Cuda, small()));
    assert_eq!(cpu.model_id(), cuda.model_id());
    let done = complete(&cuda, PROMPT, 24, 7).await;
    let sampling = Sampling::new(1.0, 7).unwrap();
    // What the processors would have drawn in each place, given the same tokens before it.
    let checks = cpu.rescore(&PROMPT.into(), &done.token_ids, &sampling).await.unwrap();
    let strays = checks.iter().filter(|check| !check.matches()).count();
    assert!(strays <= 1, "{strays} of {} tokens", checks.len());
    for (check, logprob) in checks.iter().zip(&done.logprobs) {
        assert!(check.margin < 0.1, "{check:?}");
        assert!((check.logprob - logprob).abs() < 0.1, "{check:?} against {logprob}");
    }
}

#[tokio::test]
async fn a_device_checks_its_own_answers_to_the_bit() {
    let _machine = Machine::new();
    let cuda = engine(Device::Cuda, small());
    let done = complete(&cuda, PROMPT, 20, 11).await;
    let sampling = Sampling::new(1.0, 11).unwrap();
    // One prefill in place of twenty decodes, in steps of another size.
    let checks = cuda.rescore(&PROMPT.into(), &done.token_ids, &sampling).await.unwrap();
    for (check, logprob) in checks.iter().zip(&done.logprobs) {
        assert!(check.matches() && check.margin.to_bits() == 0, "{check:?}");
        assert_eq!(check.logprob.to_bits(), logprob.to_bits());
    }
}

#[tokio::test]
async fn what_a_device_answers_depends_neither_on_the_batch_nor_on_pre_emption() {
    let machine = Machine::new();
    let cuda = engine(Device::Cuda, small());
    let alone = complete(&cuda, PROMPT, 16, 3).await;
    // Another order of the threads, a batch, and blocks for half of it.
    machine.set("seed", 77);
    let options = EngineOptions { kv_tokens: 256, step_tokens: 24, ..small() };
    let crowded = engine(Device::Cuda, options);
    let filler = "The ferry leaves at seven, but only when the wind comes from the west.";
    let fillers = (0..4).map(|lane| {
        let sampling = Sampling::new(1.0, 100 + lane).unwrap();
        crowded.generate(job(&filler[lane as usize..], 28, sampling))
    });
    let (among, others) =
        tokio::join!(complete(&crowded, PROMPT, 16, 3), futures::future::join_all(fillers));
    assert!(others.iter().all(Result::is_ok));
    assert!(crowded.load().preemptions > 0);
    assert_eq!(among.token_ids, alone.token_ids);
    assert_eq!(bits(&among.logprobs), bits(&alone.logprobs));
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[tokio::test]
async fn alternatives_and_sketches_come_back_from_a_device() {
    let _machine = Machine::new();
    let cuda = engine(Device::Cuda, small());
    let scheme = Scheme::default();
    let asked =
        Job { alternatives: 4, fingerprint: Some(scheme), ..job(PROMPT, 6, Sampling::greedy()) };
    let done = cuda.generate(asked).await.unwrap();
    for ((likeliest, id), logprob) in done.likeliest.iter().zip(&done.token_ids).zip(&done.logprobs)
    {
        assert_eq!(likeliest.len(), 4);
        assert_eq!(likeliest[0].0, *id);
        assert!((likeliest[0].1 - logprob).abs() < 1e-5);
    }
    let (ids, sampling) = (&done.token_ids, Sampling::greedy());
    let audit = cuda.audit(&PROMPT.into(), ids, &sampling, scheme).await.unwrap();
    assert_eq!(Some(audit.states), done.states);
    // One model, and two arithmetics: nothing is demanded to the bit between them.
    let host = engine(Device::Cpu, small());
    assert_eq!(host.model_id(), cuda.model_id());
    assert!(Pair::equality(&side(&cuda), &side(&host)).is_none());
}

#[tokio::test]
async fn an_untied_head_and_odd_vocabulary_run_on_a_device() {
    let _machine = Machine::new();
    let dir = tempfile::tempdir().unwrap();
    write_random_qwen(dir.path());
    let source = ModelSource::Path(dir.path().to_owned());
    let load = |device| Arc::new(Model::load(&source, on(device)).unwrap());
    let open = |device| Engine::open(load(device), small()).unwrap();
    let (cpu, cuda) = (open(Device::Cpu), open(Device::Cuda));
    let prompt = Prompt::Tokens((0..70).map(|i| i * 31 % 256).collect());
    let sampling = Sampling::new(1.0, 5).unwrap();
    let asked = Job { ignore_end: true, ..Job::new(prompt.clone(), 12, sampling) };
    let done = cuda.generate(asked).await.unwrap();
    let checks = cpu.rescore(&prompt, &done.token_ids, &sampling).await.unwrap();
    for (check, logprob) in checks.iter().zip(&done.logprobs) {
        assert!(check.margin < 0.2, "{check:?}");
        assert!((check.logprob - logprob).abs() < 0.2, "{check:?} against {logprob}");
    }
}

/// A random Qwen 3 (norms over heads, a head of its own, 257 words) in place of the random Llama whose
/// tokenizer it shares.
fn write_random_qwen(dir: &std::path::Path) {
    support::write_random_llama(dir);
    let (width, heads, kv_heads, head_dim, ffn, vocab) = (64, 4, 2, 32, 96, 257);
    let config = serde_json::json!({
        "model_type": "qwen3", "hidden_size": width, "num_hidden_layers": 2,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "intermediate_size": ffn, "vocab_size": vocab, "max_position_embeddings": 256,
        "rope_theta": 10000.0, "rms_norm_eps": 1e-6, "eos_token_id": 256,
    });
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let (queries, kv) = (heads * head_dim, kv_heads * head_dim);
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocab, width]),
        ("lm_head.weight".to_owned(), vec![vocab, width]),
        ("model.norm.weight".to_owned(), vec![width]),
    ];
    for layer in 0..2 {
        for (part, shape) in [
            ("input_layernorm", vec![width]),
            ("post_attention_layernorm", vec![width]),
            ("self_attn.q_norm", vec![head_dim]),
            ("self_attn.k_norm", vec![head_dim]),
            ("self_attn.q_proj", vec![queries, width]),
            ("self_attn.k_proj", vec![kv, width]),
            ("self_attn.v_proj", vec![kv, width]),
            ("self_attn.o_proj", vec![width, queries]),
            ("mlp.gate_proj", vec![ffn, width]),
            ("mlp.up_proj", vec![ffn, width]),
            ("mlp.down_proj", vec![width, ffn]),
        ] {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    let mut state = 9_u64;
    let mut noise = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    let data: Vec<_> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let one = if shape.len() == 1 { 1.0 } else { 0.0 };
            let count = shape.iter().product::<usize>();
            let values: Vec<u8> =
                (0..count).flat_map(|_| (one + noise() * 0.5).to_le_bytes()).collect();
            (name, shape, values)
        })
        .collect();
    let views = data.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    std::fs::write(dir.join("model.safetensors"), safetensors::serialize(views, None).unwrap())
        .unwrap();
}

/// Why tiny does not load on the emulated machine.
fn refusal() -> DeviceError {
    match Model::load(&ModelSource::Tiny, on(Device::Cuda)) {
        Err(LoadError::Device(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(model) => panic!("{} loaded", model.name()),
    }
}

#[test]
fn machines_that_cannot_run_the_kernels_are_refused() {
    let machine = Machine::new();
    machine.set("devices", 0);
    assert_eq!(refusal(), DeviceError::NoDevice);
    machine.set("devices", 1);
    machine.set("capability", 75);
    assert!(matches!(refusal(), DeviceError::CapabilityTooOld { .. }));
}

#[test]
fn a_model_larger_than_the_memory_is_refused_with_the_numbers() {
    let machine = Machine::new();
    machine.set("memory", 100_000);
    let DeviceError::Memory { needed, free, total, .. } = refusal() else { panic!() };
    assert!(needed > free && free <= total && total == 100_000, "{needed} {free} {total}");
}

#[test]
fn keys_and_values_that_do_not_fit_are_refused_and_the_model_stays() {
    let _machine = Machine::new();
    let model = tiny(Device::Cuda);
    let greedy = EngineOptions { kv_tokens: 1 << 24, ..small() };
    let error = Engine::open(Arc::clone(&model), greedy).unwrap_err();
    assert!(matches!(error, EngineError::Device(DeviceError::Memory { .. })), "{error}");
    Engine::open(model, small()).unwrap();
}

#[tokio::test]
async fn a_lost_device_fails_jobs_and_never_the_process() {
    let machine = Machine::new();
    let cuda = engine(Device::Cuda, small());
    machine.set("launches_left", 100);
    let job = || job(PROMPT, 30, Sampling::greedy());
    let error = cuda.generate(job()).await.unwrap_err();
    assert!(matches!(error, EngineError::Device(DeviceError::Driver { .. })), "{error}");
    let error = cuda.generate(job()).await.unwrap_err();
    assert!(matches!(error, EngineError::Device(DeviceError::Driver { .. })), "{error}");
}

#[test]
fn auto_takes_the_processors_where_there_is_no_device() {
    let machine = Machine::new();
    machine.set("devices", 0);
    assert_eq!(tiny(Device::Auto).device(), "cpu");
    machine.set("devices", 1);
    assert_eq!(tiny(Device::Auto).device(), "emulated device");
}
