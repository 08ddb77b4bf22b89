//! A decoder in session: its keys and values, its workspace, its graphs, and one step after another.

use std::{collections::HashMap, sync::Arc};

use super::{
    driver::{Address, Buffer, Device, Graph},
    kernels::{
        self, Answer, Ask, AttendArgs, EmbedArgs, GateArgs, GemmArgs, Launch, NO_TOKEN, NormArgs,
        RopeArgs, SPLIT, SampleArgs, count,
    },
    plan::{self, GRAPH_ROWS, LOGIT_ROWS, PARTIAL_SPLITS, Workspace},
    weights::{Loaded, Matrix, Vector, address},
};
use crate::{
    device::DeviceError,
    engine::EngineOptions,
    kernel::BLOCK_TOKENS,
    model::{Layer, Segment, Wanted},
    sample::{self, DEFICITS},
};

/// Blocks of the store that one split covers.
const SPLIT_BLOCKS: usize = SPLIT / BLOCK_TOKENS;

/// What a row of a step says, as the device found it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) answer: Answer,
    /// The row's logits, where more than the answer was asked for; else empty.
    pub(crate) logits: Vec<f32>,
    /// The row's hidden state, where it was asked for; else empty.
    pub(crate) hidden: Vec<f32>,
}

/// A model's state on its device.
pub(crate) struct Session {
    // Before everything that they point to.
    graphs: HashMap<Decode, Option<Graph>>,
    loaded: Arc<Loaded>,
    /// Keys and values by layer.
    store: Vec<(Buffer<u16>, Buffer<u16>)>,
    blocks: usize,
    cos: Buffer<f32>,
    sin: Buffer<f32>,
    work: Work,
    plan: Workspace,
    least_word: [u32; DEFICITS],
}

/// Buffers of a step.
struct Work {
    inputs: Buffer<u32>,
    residual: Buffer<u16>,
    normed: Buffer<u16>,
    qkv: Buffer<u16>,
    mixed: Buffer<u16>,
    branch: Buffer<u16>,
    gate_up: Buffer<u16>,
    gated: Buffer<u16>,
    partial: Buffer<f32>,
    picked: Buffer<u16>,
    logits: Buffer<u16>,
    asks: Buffer<Ask>,
    answers: Buffer<Answer>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let graphs = self.graphs.len();
        f.debug_struct("Session")
            .field("plan", &self.plan)
            .field("graphs", &graphs)
            .finish_non_exhaustive()
    }
}

/// The shape of a step in which every sequence decodes one token, rounded up to powers of two: what
/// its graph depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Decode {
    rows: usize,
    splits: usize,
}

/// A step's rows and where its inputs lie, in words.
#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    /// Rows that decode: the first ones.
    decodes: usize,
    splits: usize,
    tables: usize,
    spans: usize,
    span_count: usize,
}

impl Shape {
    const fn stride(&self) -> usize {
        self.splits * SPLIT_BLOCKS
    }
}

/// A step as the device takes it.
#[derive(Debug)]
struct Inputs {
    shape: Shape,
    words: Vec<u32>,
    /// The device's row of each segment's first token.
    first_rows: Vec<usize>,
    /// Set where the step can run as a graph.
    decode: Option<Decode>,
}

impl Session {
    /// Takes the memory that `options` ask for, or refuses with the numbers.
    pub(crate) fn new(loaded: Arc<Loaded>, options: EngineOptions) -> Result<Self, DeviceError> {
        let config = &loaded.config;
        let device = &loaded.device;
        let layers = loaded.weights.layers.len();
        plan::check(config, layers, options, device.memory()?)?;
        let plan = Workspace::new(config, options);
        let blocks = options.kv_tokens.max(plan.positions).div_ceil(BLOCK_TOKENS);
        let numbers = blocks * BLOCK_TOKENS * config.kv_width();
        let keys_and_values = "the keys and values";
        let store = (0..layers)
            .map(|_| {
                Ok((device.room(keys_and_values, numbers)?, device.room(keys_and_values, numbers)?))
            })
            .collect::<Result<_, DeviceError>>()?;
        let (cos, sin) = loaded.rope.table(plan.positions);
        let tables = "the rotary tables";
        let (cos, sin) = (device.copy_of(tables, &cos)?, device.copy_of(tables, &sin)?);
        let work = Work::new(&loaded, &plan)?;
        let least_word = std::array::from_fn(sample::least_word);
        let graphs = HashMap::new();
        Ok(Self { graphs, loaded, store, blocks, cos, sin, work, plan, least_word })
    }

    /// Blocks of the store.
    pub(crate) const fn blocks(&self) -> usize {
        self.blocks
    }

    /// Runs every segment's tokens through the layers and answers for the rows that are wanted, whose
    /// numbers count the segments' tokens in order.
    pub(crate) fn step(
        &mut self,
        segments: &[Segment<'_>],
        wanted: &[Wanted],
    ) -> Result<Vec<Found>, DeviceError> {
        let inputs = Inputs::new(segments, self.group());
        let rows = inputs.rows_of(segments, wanted);
        self.work.inputs.write(0, &inputs.words)?;
        let Some(decode) = inputs.decode else {
            self.layers(&inputs.shape)?;
            let mut found = Vec::with_capacity(wanted.len());
            for (wanted, rows) in wanted.chunks(LOGIT_ROWS).zip(rows.chunks(LOGIT_ROWS)) {
                self.pick(rows)?;
                self.ask(rows.len(), |index| wanted.get(index))?;
                self.answer(self.work.picked.start(), rows.len())?;
                found.extend(self.found(wanted, |index| index, &self.work.picked)?);
            }
            return Ok(found);
        };
        let by_row: HashMap<usize, &Wanted> = rows.iter().copied().zip(wanted).collect();
        self.ask(decode.rows, |row| by_row.get(&row).copied())?;
        self.run_decode(decode, &inputs.shape)?;
        self.found(wanted, |index| rows[index], &self.work.normed)
    }

    /// A decode's graph: recorded when its shape comes a second time, since a kernel must have run
    /// once before it can be recorded.
    fn run_decode(&mut self, decode: Decode, shape: &Shape) -> Result<(), DeviceError> {
        let queue = |session: &Self| {
            session.layers(shape)?;
            session.answer(session.work.normed.start(), decode.rows)
        };
        match self.graphs.get(&decode) {
            None => {
                queue(self)?;
                self.graphs.insert(decode, None);
            }
            Some(None) => {
                let graph = self.device().record(|| queue(self))?;
                Self::run_graph(&graph)?;
                self.graphs.insert(decode, Some(graph));
            }
            Some(Some(graph)) => Self::run_graph(graph)?,
        }
        Ok(())
    }

    /// Runs one of this session's graphs.
    #[expect(unsafe_code, reason = "a graph's buffers are the session's")]
    fn run_graph(graph: &Graph) -> Result<(), DeviceError> {
        // SAFETY: every address recorded is of a buffer of this session or of its model, which the
        // session holds; none is ever replaced.
        unsafe { graph.launch() }
    }

    fn device(&self) -> &Device {
        &self.loaded.device
    }

    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.loaded.config.heads / self.loaded.config.kv_heads
    }

    #[expect(unsafe_code, reason = "launches take addresses")]
    fn launch<A: Copy>(&self, launch: Launch, args: &A) -> Result<(), DeviceError> {
        // SAFETY: `layers`, `pick` and `answer` pass buffers of this session and of its model, each
        // made for the most rows that `Workspace` allows, with the widths of the same configuration;
        // the kernels check what comes from outside: tokens, slots and block tables.
        unsafe { self.device().launch(launch, args) }
    }

    /// Queues the whole decoder: from token ids to the hidden states after the last norm.
    fn layers(&self, shape: &Shape) -> Result<(), DeviceError> {
        let weights = &self.loaded.weights;
        let work = &self.work;
        self.gather(work.inputs.start(), &weights.embedding, work.residual.start(), shape.rows)?;
        let mut branch = Address::NULL;
        for (layer, store) in weights.layers.iter().zip(&self.store) {
            let plain = layer.plain().ok_or(unplain())?;
            self.norm(branch, plain.attention_norm, shape.rows)?;
            self.product(work.normed.start(), &layer.qkv, work.qkv.start(), shape.rows)?;
            self.rotate(layer, store, shape)?;
            self.attend(store, shape)?;
            branch = work.branch.start();
            self.product(work.mixed.start(), &layer.output, branch, shape.rows)?;
            self.norm(branch, plain.ffn_norm, shape.rows)?;
            self.product(work.normed.start(), plain.gate_up, work.gate_up.start(), shape.rows)?;
            self.gate(shape.rows)?;
            self.product(work.gated.start(), plain.down, branch, shape.rows)?;
        }
        self.norm(branch, &weights.norm, shape.rows)
    }

    fn gather(
        &self,
        tokens: Address,
        table: &Matrix,
        out: Address,
        rows: usize,
    ) -> Result<(), DeviceError> {
        let (vocab, width) = (count(table.rows), count(table.cols));
        let args = EmbedArgs { tokens, table: table.start(), out, vocab, width };
        self.launch(Launch::embed(rows), &args)
    }

    /// Adds `branch` to the residual stream, and norms it.
    fn norm(&self, branch: Address, weight: &Vector, rows: usize) -> Result<(), DeviceError> {
        let args = NormArgs {
            residual: self.work.residual.start(),
            branch,
            weight: weight.start(),
            out: self.work.normed.start(),
            width: count(self.loaded.config.width),
            eps: self.loaded.config.norm_eps,
        };
        self.launch(Launch::rms_norm(rows), &args)
    }

    fn product(
        &self,
        x: Address,
        matrix: &Matrix,
        out: Address,
        rows: usize,
    ) -> Result<(), DeviceError> {
        let (m, n, k) = (count(rows), count(matrix.rows), count(matrix.cols));
        let args = GemmArgs { x, w: matrix.start(), out, m, n, k };
        self.launch(Launch::gemm(rows, matrix.rows), &args)
    }

    fn gate(&self, rows: usize) -> Result<(), DeviceError> {
        let ffn = self.loaded.config.ffn;
        let (gate_up, out) = (self.work.gate_up.start(), self.work.gated.start());
        let args = GateArgs { gate_up, out, ffn: count(ffn) };
        self.launch(Launch::silu_mul(rows, ffn), &args)
    }

    fn rotate(
        &self,
        layer: &Layer<Matrix, Vector>,
        (keys, values): &(Buffer<u16>, Buffer<u16>),
        shape: &Shape,
    ) -> Result<(), DeviceError> {
        let config = &self.loaded.config;
        let norms = layer.head_norms.as_ref();
        let args = RopeArgs {
            qkv: self.work.qkv.start(),
            bias: address(layer.qkv_bias.as_ref()),
            query_norm: address(norms.map(|norms| &norms.query)),
            key_norm: address(norms.map(|norms| &norms.key)),
            cos: self.cos.start(),
            sin: self.sin.start(),
            positions: self.work.inputs.at(shape.rows),
            slots: self.work.inputs.at(2 * shape.rows),
            keys: keys.start(),
            values: values.start(),
            heads: count(config.heads),
            kv_heads: count(config.kv_heads),
            head_dim: count(config.head_dim),
            capacity: count(self.blocks * BLOCK_TOKENS),
            eps: config.norm_eps,
        };
        self.launch(Launch::rope(shape.rows, config.heads + 2 * config.kv_heads), &args)
    }

    /// Decodes in turns of as many rows as there is room for their splits, then prefills.
    fn attend(
        &self,
        (keys, values): &(Buffer<u16>, Buffer<u16>),
        shape: &Shape,
    ) -> Result<(), DeviceError> {
        let config = &self.loaded.config;
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let qkv_width = (heads + 2 * kv_heads) * head_dim;
        let width = self.loaded.head_width;
        #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
        let scale = std::f32::consts::LOG2_E / (head_dim as f32).sqrt();
        let work = &self.work;
        let args = |row: usize| AttendArgs {
            qkv: work.qkv.at(row * qkv_width),
            keys: keys.start(),
            values: values.start(),
            out: work.mixed.at(row * heads * head_dim),
            partial: work.partial.start(),
            positions: work.inputs.at(shape.rows + row),
            tables: work.inputs.at(shape.tables + row * shape.stride()),
            spans: work.inputs.at(shape.spans),
            qkv_width: count(qkv_width),
            heads: count(heads),
            kv_heads: count(kv_heads),
            splits: count(shape.splits),
            table_stride: count(shape.stride()),
            blocks: count(self.blocks),
            scale,
        };
        let turn = (PARTIAL_SPLITS / shape.splits.max(1)).max(1);
        for row in (0..shape.decodes).step_by(turn) {
            let rows = turn.min(shape.decodes - row);
            let launch = Launch::decode(width, rows, shape.splits, kv_heads, self.group());
            self.launch(launch, &args(row))?;
            self.launch(Launch::merge(width, rows, heads), &args(row))?;
        }
        if shape.span_count > 0 {
            // Spans name rows of the whole step, and places in all of its tables.
            self.launch(Launch::prefill(width, shape.span_count, kv_heads), &args(0))?;
        }
        Ok(())
    }

    /// Gathers hidden states to answer for.
    fn pick(&mut self, rows: &[usize]) -> Result<(), DeviceError> {
        let picks: Vec<u32> = rows.iter().map(|&row| count(row)).collect();
        // The step's inputs have been read by then: the stream is in order.
        self.work.inputs.write(0, &picks)?;
        let args = EmbedArgs {
            tokens: self.work.inputs.start(),
            table: self.work.normed.start(),
            out: self.work.picked.start(),
            vocab: count(self.plan.rows),
            width: count(self.loaded.config.width),
        };
        if rows.is_empty() { Ok(()) } else { self.launch(Launch::embed(rows.len()), &args) }
    }

    /// Puts the questions where the sampler reads them; rows that nobody asks about draw greedily.
    fn ask<'a>(
        &mut self,
        rows: usize,
        wanted: impl Fn(usize) -> Option<&'a Wanted>,
    ) -> Result<(), DeviceError> {
        let asks: Vec<Ask> = (0..rows).map(|row| Ask::of(wanted(row))).collect();
        self.work.asks.write(0, &asks)
    }

    /// Queues logits and answers for `rows` rows of hidden states.
    fn answer(&self, hidden: Address, rows: usize) -> Result<(), DeviceError> {
        if rows == 0 {
            return Ok(());
        }
        let weights = &self.loaded.weights;
        let head = weights.head.as_ref().unwrap_or(&weights.embedding);
        let work = &self.work;
        self.product(hidden, head, work.logits.start(), rows)?;
        let args = SampleArgs {
            logits: work.logits.start(),
            asks: work.asks.start(),
            answers: work.answers.start(),
            vocab: count(head.rows),
            least_word: self.least_word,
        };
        self.launch(Launch::sample(rows), &args)
    }

    /// Reads what the wanted rows say; `place` is where in the logits a wanted row lies.
    fn found(
        &self,
        wanted: &[Wanted],
        place: impl Fn(usize) -> usize,
        hidden: &Buffer<u16>,
    ) -> Result<Vec<Found>, DeviceError> {
        let last = (0..wanted.len()).map(&place).max();
        let answers = self.work.answers.read(0..last.map_or(0, |last| last + 1))?;
        let row = |buffer: &Buffer<u16>, row: usize, width: usize| {
            let bits = buffer.read(row * width..(row + 1) * width)?;
            Ok::<_, DeviceError>(
                bits.into_iter().map(|b| half::bf16::from_bits(b).to_f32()).collect::<Vec<f32>>(),
            )
        };
        let config = &self.loaded.config;
        let each = wanted.iter().enumerate().map(|(index, wanted)| {
            let at = place(index);
            let logits = if wanted.alternatives > 0 || wanted.shape.is_some() {
                row(&self.work.logits, at, config.vocab)?
            } else {
                Vec::new()
            };
            let hidden = if wanted.hidden { row(hidden, at, config.width)? } else { Vec::new() };
            Ok(Found { answer: answers[at], logits, hidden })
        });
        let found = each.collect::<Result<_, DeviceError>>()?;
        // Even where nothing is read, what failed on the device belongs to this step.
        if wanted.is_empty() {
            self.device().finish()?;
        }
        Ok(found)
    }
}

impl Ask {
    fn of(wanted: Option<&Wanted>) -> Self {
        let nothing = Self {
            seed: [0; 2],
            position: 0,
            claimed: NO_TOKEN,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            unused: 0,
        };
        wanted.map_or(nothing, |wanted| Self {
            seed: sample::halves(wanted.sampling.seed()),
            position: wanted.position,
            claimed: wanted.claimed.unwrap_or(NO_TOKEN),
            temperature: wanted.sampling.temperature(),
            ..nothing
        })
    }
}

impl Work {
    fn new(loaded: &Loaded, plan: &Workspace) -> Result<Self, DeviceError> {
        let config = &loaded.config;
        let what = "the workspace";
        let rows = |width: usize| loaded.device.room(what, plan.rows * width);
        let queries = config.query_width();
        Ok(Self {
            inputs: loaded.device.room(what, plan.inputs)?,
            residual: rows(config.width)?,
            normed: rows(config.width)?,
            qkv: rows(queries + 2 * config.kv_width())?,
            mixed: rows(queries)?,
            branch: rows(config.width)?,
            gate_up: rows(2 * config.ffn)?,
            gated: rows(config.ffn)?,
            partial: loaded.device.room(what, plan.partial(config))?,
            picked: loaded.device.room(what, LOGIT_ROWS * config.width)?,
            logits: loaded.device.room(what, LOGIT_ROWS * config.vocab)?,
            asks: loaded.device.room(what, LOGIT_ROWS)?,
            answers: loaded.device.room(what, LOGIT_ROWS)?,
        })
    }
}

impl Inputs {
    /// Lays a step out: decodes first, then prefills; tokens, positions, slots, tables, spans.
    fn new(segments: &[Segment<'_>], group: usize) -> Self {
        let (decodes, prefills): (Vec<usize>, Vec<usize>) =
            (0..segments.len()).partition(|&index| segments[index].tokens.len() == 1);
        let tokens: usize = segments.iter().map(|s| s.tokens.len()).sum();
        let splits = decodes.iter().map(|&index| segments[index].start / SPLIT + 1).max();
        let mut splits = splits.unwrap_or(0);
        let mut rows = tokens;
        let decode = (prefills.is_empty() && (1..=GRAPH_ROWS).contains(&tokens)).then(|| {
            (rows, splits) = (tokens.next_power_of_two(), splits.next_power_of_two());
            Decode { rows, splits }
        });
        let rows_that_decode = if decode.is_some() { rows } else { decodes.len() };
        let mut shape = Shape {
            rows,
            decodes: rows_that_decode,
            splits,
            tables: 3 * rows,
            spans: 0,
            span_count: 0,
        };
        let mut words = vec![NO_TOKEN; 3 * rows];
        words.resize(3 * rows + rows_that_decode * shape.stride(), 0);
        let mut first_rows = vec![0; segments.len()];
        let mut spans: Vec<u32> = Vec::new();
        let mut row = 0;
        for (decoding, &index) in
            decodes.iter().map(|i| (true, i)).chain(prefills.iter().map(|i| (false, i)))
        {
            let segment = &segments[index];
            first_rows[index] = row;
            place_rows(&mut words, segment, row, rows);
            let used = (segment.start + segment.tokens.len()).div_ceil(BLOCK_TOKENS);
            let blocks = &segment.blocks[..used];
            if decoding {
                let at = shape.tables + row * shape.stride();
                words[at..at + used].copy_from_slice(blocks);
            } else {
                let table = words.len() - shape.tables;
                words.extend_from_slice(blocks);
                spans.extend(kernels::spans(segment, row, table, group).flatten());
            }
            row += segment.tokens.len();
        }
        (shape.spans, shape.span_count) = (words.len(), spans.len() / kernels::SPAN_WORDS);
        words.extend(spans);
        Self { shape, words, first_rows, decode }
    }

    /// The device's row of each wanted row.
    fn rows_of(&self, segments: &[Segment<'_>], wanted: &[Wanted]) -> Vec<usize> {
        let mut rows = Vec::with_capacity(wanted.len());
        let mut wanted = wanted.iter().peekable();
        let mut first = 0;
        for (segment, &row) in segments.iter().zip(&self.first_rows) {
            let end = first + segment.tokens.len();
            while let Some(wanted) = wanted.next_if(|wanted| wanted.row < end) {
                rows.push(row + wanted.row - first);
            }
            first = end;
        }
        rows
    }
}

/// Writes a segment's tokens, positions and slots to rows `row` and on, of `rows`.
fn place_rows(words: &mut [u32], segment: &Segment<'_>, row: usize, rows: usize) {
    for (offset, &token) in segment.tokens.iter().enumerate() {
        let position = segment.start + offset;
        let block = segment.blocks[position / BLOCK_TOKENS] as usize;
        words[row + offset] = token;
        words[rows + row + offset] = count(position);
        words[2 * rows + row + offset] = count(block * BLOCK_TOKENS + position % BLOCK_TOKENS);
    }
}

/// Refused when the model was loaded, where [`Config::beyond_plain`](crate::config::Config) says so.
const fn unplain() -> DeviceError {
    let what = "a layer of this kind";
    DeviceError::Lacks { device: crate::Device::Cuda, what }
}

#[cfg(test)]
mod layout {
    use super::*;
    use crate::Sampling;

    fn segment<'a>(tokens: &'a [u32], start: usize, blocks: &'a [u32]) -> Segment<'a> {
        Segment { tokens, start, blocks }
    }

    #[test]
    fn decodes_come_first_and_wanted_rows_follow_them() {
        let (long, one) = ([5, 6, 7], [9]);
        let segments = [segment(&long, 0, &[4]), segment(&one, 33, &[8, 2])];
        let inputs = Inputs::new(&segments, 2);
        assert_eq!(inputs.words[..4], [9, 5, 6, 7]);
        assert_eq!(inputs.words[4..8], [33, 0, 1, 2]);
        assert_eq!(inputs.words[8..12], [2 * 32 + 1, 4 * 32, 4 * 32 + 1, 4 * 32 + 2]);
        let wanted = |row| Wanted {
            row,
            sampling: Sampling::greedy(),
            shape: None,
            position: 0,
            claimed: None,
            alternatives: 0,
            hidden: false,
        };
        assert_eq!(inputs.rows_of(&segments, &[wanted(2), wanted(3)]), [3, 0]);
        assert!(inputs.decode.is_none());
        assert_eq!((inputs.shape.decodes, inputs.shape.span_count), (1, 1));
        let span = &inputs.words[inputs.shape.spans..];
        assert_eq!(span, [1, 3, 0, 8, 0]);
    }

    #[test]
    fn a_batch_of_decodes_is_padded_to_a_power_of_two() {
        let (token, blocks) = ([3], [0; 17]);
        let segments: Vec<_> = (0..3).map(|_| segment(&token, 512, &blocks)).collect();
        let inputs = Inputs::new(&segments, 1);
        assert_eq!(inputs.decode, Some(Decode { rows: 4, splits: 4 }));
        assert_eq!(inputs.words[3], NO_TOKEN);
        assert_eq!(inputs.words.len(), 3 * 4 + 4 * 4 * SPLIT_BLOCKS);
    }
}
