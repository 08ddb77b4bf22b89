use half::bf16;

use super::{all, assert_near, bits, device, noise, put, room, run, wide};
use crate::{
    config::Activation,
    cuda::{
        driver::{Address, Buffer, Device},
        kernels::{EmbedArgs, GateArgs, Launch, NO_TOKEN, NormArgs, RopeArgs, count},
    },
    kernel::{self, BLOCK_TOKENS, Isa},
};

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn rows_are_gathered_and_an_unknown_token_is_a_row_of_zeros() {
    let device = device();
    let (vocab, width) = (10, 24);
    let table = noise(vocab * width, 1);
    let (tokens, on_device) = (put(&device, &[7, NO_TOKEN, 10, 0]), put(&device, &bits(&table)));
    let out = room(&device, 4 * width);
    let args = EmbedArgs {
        tokens: tokens.start(),
        table: on_device.start(),
        out: out.start(),
        vocab: count(vocab),
        width: count(width),
    };
    run(&device, Launch::embed(4), &args);
    let out = all(&out);
    assert_eq!(out[..width], table[7 * width..8 * width]);
    assert!(out[width..3 * width].iter().all(|v| v.to_bits() == 0));
    assert_eq!(out[3 * width..], table[..width]);
}

/// The updated residual stream and its norm.
fn norm(
    device: &Device,
    residual: &[bf16],
    branch: Option<&[bf16]>,
    weight: &[f32],
) -> (Vec<bf16>, Vec<bf16>) {
    let rows = residual.len() / weight.len();
    let stream = put(device, &bits(residual));
    let branch = branch.map(|branch| put(device, &bits(branch)));
    let (weights, out) = (put(device, weight), room(device, residual.len()));
    let args = NormArgs {
        residual: stream.start(),
        branch: branch.as_ref().map_or(Address::NULL, Buffer::start),
        weight: weights.start(),
        out: out.start(),
        width: count(weight.len()),
        eps: 1e-5,
    };
    run(device, Launch::rms_norm(rows), &args);
    (all(&stream), all(&out))
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_norm_adds_the_branch_first_and_is_the_references() {
    let device = device();
    // Wider and narrower than a block's threads move at once.
    for width in [64, 576, 2304] {
        let (residual, branch) = (noise(3 * width, 1), noise(3 * width, 2));
        let weight = wide(&noise(width, 3));
        let (stream, out) = norm(&device, &residual, Some(&branch), &weight);
        let sum: Vec<bf16> = residual
            .iter()
            .zip(&branch)
            .map(|(a, b)| bf16::from_f32(a.to_f32() + b.to_f32()))
            .collect();
        assert_eq!(bits(&stream), bits(&sum));
        let mut want = vec![0.0; 3 * width];
        kernel::rms_norm(Isa::detect(), &wide(&sum), &weight, 1e-5, &mut want);
        assert_near(&out, &want.iter().map(|&v| v.into()).collect::<Vec<_>>(), 1e-6);
        let (alone, _) = norm(&device, &residual[..width], None, &weight);
        assert_eq!(alone, residual[..width]);
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn gates_have_the_references_bits() {
    let device = device();
    let (rows, ffn) = (3, 1096);
    let gate_up: Vec<bf16> =
        noise(rows * 2 * ffn, 5).into_iter().map(|v| bf16::from_f32(v.to_f32() * 9.0)).collect();
    let (input, out) = (put(&device, &bits(&gate_up)), room(&device, rows * ffn));
    let args = GateArgs { gate_up: input.start(), out: out.start(), ffn: count(ffn) };
    run(&device, Launch::silu_mul(rows, ffn), &args);
    let mut want = vec![0.0; rows * ffn];
    kernel::gate(Isa::detect(), Activation::Silu, &wide(&gate_up), ffn, &mut want);
    let want: Vec<u16> = want.iter().map(|v| bf16::from_f32(*v).to_bits()).collect();
    assert_eq!(bits(&all(&out)), want);
}

const HEADS: usize = 3;
const KV_HEADS: usize = 1;
const HEAD_DIM: usize = 64;
const ALL: usize = HEADS + 2 * KV_HEADS;
const BLOCKS: usize = 3;

/// Rotated queries, keys and values of the store, from rows at `positions` and `slots`.
struct Rotated {
    qkv: Vec<bf16>,
    keys: Vec<u16>,
    values: Vec<u16>,
}

struct Setting<'a> {
    bias: Option<&'a [f32]>,
    norm: Option<&'a [f32]>,
    positions: &'a [i32],
    slots: &'a [u32],
}

fn angles(positions: usize) -> (Vec<f32>, Vec<f32>) {
    let angle = |i: usize| (i / (HEAD_DIM / 2)) as f64 / (1.0 + (i % (HEAD_DIM / 2)) as f64);
    let all = (0..positions * HEAD_DIM / 2).map(angle);
    all.map(|a| (libm::cos(a) as f32, libm::sin(a) as f32)).unzip()
}

/// What slots hold that nothing was written to.
const UNTOUCHED: u16 = 0x1234;

fn rotate(device: &Device, qkv: &[bf16], setting: &Setting<'_>) -> Rotated {
    let rows = setting.positions.len();
    let numbers = BLOCKS * BLOCK_TOKENS * KV_HEADS * HEAD_DIM;
    let (cos, sin) = angles(BLOCKS * BLOCK_TOKENS);
    let (cos, sin) = (put(device, &cos), put(device, &sin));
    let positions: Vec<u32> = setting.positions.iter().map(|p| p.cast_unsigned()).collect();
    let (positions, slots) = (put(device, &positions), put(device, setting.slots));
    let input = put(device, &bits(qkv));
    let keys = put(device, &vec![UNTOUCHED; numbers]);
    let values = put(device, &vec![UNTOUCHED; numbers]);
    let [bias, norm] = [setting.bias, setting.norm].map(|v| v.map(|v| put(device, v)));
    let [bias, norm] = [&bias, &norm].map(|v| v.as_ref().map_or(Address::NULL, Buffer::start));
    let args = RopeArgs {
        qkv: input.start(),
        bias,
        query_norm: norm,
        key_norm: norm,
        cos: cos.start(),
        sin: sin.start(),
        positions: positions.start(),
        slots: slots.start(),
        keys: keys.start(),
        values: values.start(),
        heads: count(HEADS),
        kv_heads: count(KV_HEADS),
        head_dim: count(HEAD_DIM),
        capacity: count(BLOCKS * BLOCK_TOKENS),
        eps: 1e-6,
    };
    run(device, Launch::rope(rows, ALL), &args);
    Rotated {
        qkv: all(&input),
        keys: keys.read(0..numbers).unwrap(),
        values: values.read(0..numbers).unwrap(),
    }
}

fn rotated_reference(head: &[f32], norm: Option<&[f32]>, position: usize) -> Vec<f32> {
    let (cos, sin) = angles(position + 1);
    let turn = position * HEAD_DIM / 2..;
    let mut out = head.to_vec();
    if let Some(weight) = norm {
        kernel::rms_norm(Isa::detect(), head, weight, 1e-6, &mut out);
    }
    kernel::rotate(&mut out, &cos[turn.clone()], &sin[turn]);
    out
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn rotation_has_the_references_bits_and_writes_to_its_slot_alone() {
    let device = device();
    let qkv = noise(2 * ALL * HEAD_DIM, 6);
    let slots = [2 * 32 + 5, 7];
    let setting = Setting { bias: None, norm: None, positions: &[37, 4], slots: &slots };
    let got = rotate(&device, &qkv, &setting);
    let numbers = wide(&qkv);
    let rounded = |values: Vec<f32>| -> Vec<u16> {
        values.into_iter().map(|v| bf16::from_f32(v).to_bits()).collect()
    };
    for (row, (position, slot)) in [(37, 69), (4, 7)].into_iter().enumerate() {
        let head = |index: usize| &numbers[(row * ALL + index) * HEAD_DIM..][..HEAD_DIM];
        for query in 0..HEADS {
            let at = (row * ALL + query) * HEAD_DIM;
            let want = rounded(rotated_reference(head(query), None, position));
            assert_eq!(bits(&got.qkv[at..at + HEAD_DIM]), want);
        }
        let stored = slot * HEAD_DIM..(slot + 1) * HEAD_DIM;
        let key = rounded(rotated_reference(head(HEADS), None, position));
        assert_eq!(got.keys[stored.clone()], key);
        assert_eq!(got.values[stored], rounded(head(HEADS + 1).to_vec()));
    }
    let touched = got.keys.iter().filter(|&&bits| bits != UNTOUCHED).count();
    assert!(touched <= 2 * HEAD_DIM, "{touched}");
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn biases_come_before_head_norms_and_norms_before_the_rotation() {
    let device = device();
    let qkv = noise(ALL * HEAD_DIM, 7);
    let bias = wide(&noise(ALL * HEAD_DIM, 8));
    let norm = wide(&noise(HEAD_DIM, 9));
    let setting = Setting { bias: Some(&bias), norm: Some(&norm), positions: &[50], slots: &[3] };
    let got = rotate(&device, &qkv, &setting);
    let biased: Vec<f32> = wide(&qkv).iter().zip(&bias).map(|(x, b)| x + b).collect();
    let want = rotated_reference(&biased[..HEAD_DIM], Some(&norm), 50);
    let want: Vec<f64> = want.into_iter().map(f64::from).collect();
    assert_near(&got.qkv[..HEAD_DIM], &want, 1e-6);
    let value = &biased[(HEADS + 1) * HEAD_DIM..];
    let value: Vec<u16> = value.iter().map(|v| bf16::from_f32(*v).to_bits()).collect();
    assert_eq!(got.values[3 * HEAD_DIM..4 * HEAD_DIM], value);
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn rows_that_fill_up_a_batch_and_slots_beyond_the_store_write_nothing() {
    let device = device();
    let qkv = noise(2 * ALL * HEAD_DIM, 10);
    let beyond = count(BLOCKS * BLOCK_TOKENS);
    let setting = Setting { bias: None, norm: None, positions: &[-1, 5], slots: &[0, beyond] };
    let got = rotate(&device, &qkv, &setting);
    assert!(got.keys.iter().chain(&got.values).all(|&bits| bits == UNTOUCHED));
}
