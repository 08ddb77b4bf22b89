use half::bf16;

use super::{all, assert_near, bits, device, noise, put, room, run, wide};
use crate::{
    cuda::{
        driver::{Address, Device},
        kernels::{AttendArgs, HeadWidth, Launch, SPLIT, count, spans},
    },
    kernel::BLOCK_TOKENS,
    model::Segment,
};

/// A store of noise, and one sequence's queries.
struct Case {
    width: HeadWidth,
    heads: usize,
    kv_heads: usize,
    /// Blocks of the store.
    blocks: usize,
    keys: Vec<bf16>,
    values: Vec<bf16>,
}

impl Case {
    fn new(width: HeadWidth, heads: usize, kv_heads: usize, blocks: usize) -> Self {
        let numbers = blocks * BLOCK_TOKENS * kv_heads * width.elements();
        let (keys, values) = (noise(numbers, 1), noise(numbers, 2));
        Self { width, heads, kv_heads, blocks, keys, values }
    }

    fn head_dim(&self) -> usize {
        self.width.elements()
    }

    fn qkv_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim()
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Rows of queries (with keys and values that are not looked at).
    fn rows(&self, count: usize) -> Vec<bf16> {
        let rows = noise(count * self.qkv_width(), 3);
        rows.into_iter().map(|v| bf16::from_f32(v.to_f32() * 2.0)).collect()
    }

    fn args(&self) -> AttendArgs {
        AttendArgs {
            qkv: Address::NULL,
            keys: Address::NULL,
            values: Address::NULL,
            out: Address::NULL,
            partial: Address::NULL,
            positions: Address::NULL,
            tables: Address::NULL,
            spans: Address::NULL,
            qkv_width: count(self.qkv_width()),
            heads: count(self.heads),
            kv_heads: count(self.kv_heads),
            splits: 0,
            table_stride: 0,
            blocks: count(self.blocks),
            scale: std::f32::consts::LOG2_E / (self.head_dim() as f32).sqrt(),
        }
    }

    /// Decodes one row for each position, all over the same blocks.
    fn decode(&self, device: &Device, qkv: &[bf16], positions: &[i32], table: &[u32]) -> Vec<bf16> {
        let rows = positions.len();
        let longest = positions.iter().max().map_or(0, |&p| p.max(0) as usize);
        let splits = longest / SPLIT + 1;
        let stride = splits * SPLIT / BLOCK_TOKENS;
        let mut padded = table[..table.len().min(stride)].to_vec();
        padded.resize(stride, u32::MAX);
        let (qkv, tables) = (put(device, &bits(qkv)), put(device, &padded.repeat(rows)));
        let (keys, values) = (put(device, &bits(&self.keys)), put(device, &bits(&self.values)));
        let positions: Vec<u32> = positions.iter().map(|p| p.cast_unsigned()).collect();
        let positions = put(device, &positions);
        let out = room(device, rows * self.heads * self.head_dim());
        let partial = room::<f32>(device, rows * splits * self.heads * (self.head_dim() + 2));
        let args = AttendArgs {
            qkv: qkv.start(),
            keys: keys.start(),
            values: values.start(),
            out: out.start(),
            partial: partial.start(),
            positions: positions.start(),
            tables: tables.start(),
            splits: count(splits),
            table_stride: count(stride),
            ..self.args()
        };
        let launch = Launch::decode(self.width, rows, splits, self.kv_heads, self.group());
        run(device, launch, &args);
        run(device, Launch::merge(self.width, rows, self.heads), &args);
        all(&out)
    }

    /// Prefills the rows of one sequence from position `start` on.
    fn prefill(&self, device: &Device, qkv: &[bf16], start: usize, table: &[u32]) -> Vec<bf16> {
        let rows = qkv.len() / self.qkv_width();
        let tokens = vec![0; rows];
        let segment = Segment { tokens: &tokens, start, blocks: table };
        let spans: Vec<_> = spans(&segment, 0, 0, self.group()).collect();
        let (qkv, tables) = (put(device, &bits(qkv)), put(device, table));
        let (keys, values) = (put(device, &bits(&self.keys)), put(device, &bits(&self.values)));
        let on_device = put(device, spans.as_flattened());
        let out = room(device, rows * self.heads * self.head_dim());
        let args = AttendArgs {
            qkv: qkv.start(),
            keys: keys.start(),
            values: values.start(),
            out: out.start(),
            tables: tables.start(),
            spans: on_device.start(),
            ..self.args()
        };
        run(device, Launch::prefill(self.width, spans.len(), self.kv_heads), &args);
        all(&out)
    }

    /// Attention of one row, in f64.
    fn reference(&self, query: &[bf16], position: usize, table: &[u32]) -> Vec<f64> {
        let (hd, query) = (self.head_dim(), wide(query));
        let (keys, values) = (wide(&self.keys), wide(&self.values));
        let place = |token: usize, kv_head: usize| {
            let unit = table[token / BLOCK_TOKENS] as usize * self.kv_heads + kv_head;
            (unit * BLOCK_TOKENS + token % BLOCK_TOKENS) * hd
        };
        (0..self.heads)
            .flat_map(|head| {
                let kv_head = head / self.group();
                let weights: Vec<f64> = (0..=position)
                    .map(|token| {
                        let key = &keys[place(token, kv_head)..][..hd];
                        let query = &query[head * hd..][..hd];
                        let dot: f64 = query.iter().zip(key).map(|(&q, &k)| f64::from(q * k)).sum();
                        (dot / (hd as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                let values = &values;
                (0..hd)
                    .map(|d| {
                        let each = weights.iter().enumerate().map(|(token, weight)| {
                            weight * f64::from(values[place(token, kv_head) + d])
                        });
                        each.sum::<f64>() / total
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

/// What rounding the probabilities to bf16 costs, for values within ±1.
const NOISE: f64 = 4e-3;

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn attention_of_every_head_width_is_the_references() {
    let device = device();
    for (width, heads, kv_heads) in
        [(HeadWidth::W32, 4, 2), (HeadWidth::W64, 9, 3), (HeadWidth::W128, 4, 1)]
    {
        let case = Case::new(width, heads, kv_heads, 4);
        let table = [2, 0, 3];
        let qkv = case.rows(70);
        let got = case.prefill(&device, &qkv, 5, &table);
        let out = heads * case.head_dim();
        for row in [0, 1, 26, 69] {
            let want = case.reference(&qkv[row * case.qkv_width()..], 5 + row, &table);
            assert_near(&got[row * out..(row + 1) * out], &want, NOISE);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_decode_over_several_splits_is_the_references() {
    let device = device();
    let case = Case::new(HeadWidth::W32, 4, 2, 20);
    let table: Vec<u32> = (0..20).rev().collect();
    let qkv = case.rows(1);
    for position in [0, 31, 255, 256, 600] {
        let got = case.decode(&device, &qkv, &[position], &table);
        assert_near(&got, &case.reference(&qkv, position as usize, &table), NOISE);
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_row_has_the_same_bits_decoded_prefilled_alone_or_among_others() {
    let device = device();
    let case = Case::new(HeadWidth::W32, 6, 2, 20);
    let table: Vec<u32> = (0..20).map(|i| i * 7 % 20).collect();
    let qkv = case.rows(40);
    let (row, out) = (case.qkv_width(), case.heads * case.head_dim());
    // Positions 490..530 lie across the end of the second split.
    let together = case.prefill(&device, &qkv, 490, &table);
    let later = case.prefill(&device, &qkv[15 * row..], 505, &table);
    assert_eq!(bits(&together[15 * out..]), bits(&later));
    for at in [0, 21, 22, 39] {
        let query = &qkv[at * row..(at + 1) * row];
        let position = 490 + at as i32;
        let alone = case.decode(&device, query, &[position], &table);
        assert_eq!(bits(&alone), bits(&together[at * out..(at + 1) * out]), "row {at}");
        let pair = case.decode(&device, &query.repeat(3), &[-1, position, 600], &table);
        assert_eq!(bits(&pair[out..2 * out]), bits(&alone), "row {at} among others");
        assert!(pair[..out].iter().all(|v| v.to_bits() == 0));
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn what_lies_in_slots_of_no_token_is_never_met() {
    let device = device();
    let mut case = Case::new(HeadWidth::W32, 4, 2, 2);
    let qkv = case.rows(9);
    let clean = case.prefill(&device, &qkv, 0, &[1]);
    let row = case.qkv_width();
    let decoded = case.decode(&device, &qkv[8 * row..], &[8], &[1]);
    // Every slot from the tenth token on holds NaN, as one that a broken sequence left behind.
    let (hd, kv_heads) = (case.head_dim(), case.kv_heads);
    for unit in 0..2 * kv_heads {
        let from = (unit * BLOCK_TOKENS + 9) * hd;
        case.keys[from..(unit + 1) * BLOCK_TOKENS * hd].fill(bf16::NAN);
        case.values[from..(unit + 1) * BLOCK_TOKENS * hd].fill(bf16::NAN);
    }
    assert_eq!(bits(&case.prefill(&device, &qkv, 0, &[1])), bits(&clean));
    assert_eq!(bits(&case.decode(&device, &qkv[8 * row..], &[8], &[1])), bits(&decoded));
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_table_that_names_no_block_reads_none() {
    let device = device();
    let case = Case::new(HeadWidth::W32, 4, 2, 2);
    let qkv = case.rows(1);
    let out = case.decode(&device, &qkv, &[40], &[0, 1_000_000]);
    assert!(out.iter().all(|v| v.is_finite()));
}
