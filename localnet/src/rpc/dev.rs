//! `dev_*`: what a test or a developer wants from a chain of their own.

use super::{Args, RegisterError, Registry, RpcError, hex};
use crate::{
    node::{Node, Sealing},
    operator,
};
use codec::Encode;
use node_subtensor_runtime::shown::Upgrade;
use serde_json::{Value, json};
use std::time::Duration;

/// Blocks that one call may make: an hour's work at a few thousand a second is a mistake.
const MAX_BLOCKS: u32 = 1_000_000;
/// Storage items that one call may set: they go into one extrinsic.
const MAX_PAIRS: usize = 10_000;

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.blocking(&["dev_mine", "dev_newBlock"], |node, mut args| {
        let (count, keep_clock) = mining(&mut args)?;
        Ok(node.mine(count, keep_clock)?.hash)
    })?;
    methods.blocking(&["dev_warpToEpoch"], warp_to_epoch)?;
    methods.method(&["dev_setTime"], |node, mut args| {
        let now_ms = args.number()?;
        node.set_time(now_ms).map_err(|error| RpcError::development(error.to_string()))?;
        Ok(now_ms)
    })?;
    methods.method(&["dev_withholdPulses"], |node, mut args| {
        let (blocks, _) = mining(&mut args)?;
        node.withhold_pulses(blocks);
        Ok(blocks)
    })?;
    methods.blocking(&["dev_setBalance"], |node, mut args| {
        let (who, rao) = (args.account()?, args.number()?);
        Ok(operator::set_balance(node, who, rao)?)
    })?;
    methods.blocking(&["dev_impersonate"], |node, mut args| {
        Ok(operator::impersonate(node, &args.account()?)?)
    })?;
    methods.blocking(&["dev_stopImpersonating"], |node, mut args| {
        Ok(operator::stop_impersonating(node, &args.account()?)?)
    })?;
    methods.blocking(&["dev_setStorage"], |node, mut args| {
        Ok(operator::set_storage(node, storage_pairs(&mut args)?)?)
    })?;
    methods.blocking(&["dev_trace"], |node, mut args| Ok(node.trace(&args.bytes()?)?))?;
    methods.blocking(&["dev_upgrade"], |node, mut args| {
        let name = args.text()?;
        let upgrade = Upgrade::named(&name).ok_or_else(|| {
            let known = Upgrade::ALL.map(|(name, _)| name).join(", ");
            RpcError::params(format!("no upgrade `{name}`: there are {known}"))
        })?;
        Ok(operator::upgrade(node, upgrade)?)
    })?;
    methods.method(&["dev_setBlockTime"], |node, mut args| {
        let ms = args.number()?;
        if ms == 0 {
            return Err(RpcError::params("a block takes a millisecond at least".to_owned()));
        }
        node.set_sealing(Sealing::Interval(Duration::from_millis(ms)));
        Ok(ms)
    })?;
    methods.method(&["dev_setInstant"], |node, _| {
        node.set_sealing(Sealing::Instant);
        Ok(true)
    })?;
    methods.blocking(&["dev_reset"], |node, _| Ok(node.reset()?.hash))?;
    methods.blocking(&["dev_dumpState"], |node, _| Ok(hex(node.dump()?)))?;
    methods.blocking(&["dev_loadState"], |node, mut args| Ok(node.load(&args.bytes()?)?.hash))?;
    methods.blocking(&["dev_reorg"], |node, mut args| {
        let (depth, even_final) = reorg(&mut args)?;
        Ok(node.reorg(depth, even_final)?.hash)
    })?;
    methods.method(&["dev_fault"], |node, mut args| {
        let illness = args.next().unwrap_or_else(|| json!({}));
        let illness = serde_json::from_value(illness)
            .map_err(|error| RpcError::params(format!("a fault: {error}")))?;
        node.faults.set(illness).map_err(RpcError::params)?;
        Ok(node.faults.illness())
    })?;
    methods.method(&["dev_snapshot"], |node, _| Ok(node.snapshot()?))?;
    methods.blocking(&["dev_revert"], |node, mut args| Ok(node.revert(args.number()?)?.hash))?;
    methods.blocking(&["dev_verify"], |node, mut args| {
        let hash = args.block(node)?;
        node.chain.verify(&hash)?;
        Ok(true)
    })?;
    methods.method(&["dev_stats"], |node, _| {
        Ok(json!({
            "block": node.chain.best().header.number,
            "pool": node.pool().len(),
            "trieNodes": node.chain.node_count(),
        }))
    })
}

/// What a call that makes blocks is given.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mining {
    count: u64,
    #[serde(rename = "keepClock")]
    keep_clock: bool,
}

impl Default for Mining {
    fn default() -> Self {
        Self { count: 1, keep_clock: false }
    }
}

/// `n`, or `{"count": n, "keepClock": true}`, or nothing (one); how many, and whether the clock stays.
fn mining(args: &mut Args) -> Result<(u32, bool), RpcError> {
    let Mining { count, keep_clock } = match args.next() {
        None => Mining::default(),
        Some(options @ Value::Object(_)) => serde_json::from_value(options)
            .map_err(|error| RpcError::params(format!("what to mine: {error}")))?,
        Some(count) => Mining { count: args.number_in(&count)?, keep_clock: false },
    };
    let count = u32::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_BLOCKS)
        .ok_or_else(|| RpcError::params(format!("{count} blocks, {MAX_BLOCKS} at most at once")))?;
    Ok((count, keep_clock))
}

/// `n`, or `{"depth": n, "final": true}`.
fn reorg(args: &mut Args) -> Result<(u32, bool), RpcError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reorg {
        depth: u32,
        #[serde(rename = "final", default)]
        even_final: bool,
    }
    match args.next() {
        Some(options @ Value::Object(_)) => serde_json::from_value(options)
            .map(|Reorg { depth, even_final }| (depth, even_final))
            .map_err(|error| RpcError::params(format!("how deep: {error}"))),
        Some(depth) => u32::try_from(args.number_in(&depth)?)
            .map(|depth| (depth, false))
            .map_err(|error| RpcError::params(format!("how deep: {error}"))),
        None => Err(RpcError::params("how many blocks to replace was expected".to_owned())),
    }
}

/// `[[key, value], ...]`, a value of `null` removing the key.
fn storage_pairs(args: &mut Args) -> Result<Vec<operator::Written>, RpcError> {
    let pairs = args.next().unwrap_or_default();
    let wrong = |why: String| RpcError::params(format!("[[key, value or null], ...]: {why}"));
    let pairs: Vec<(String, Option<String>)> =
        serde_json::from_value(pairs).map_err(|error| wrong(error.to_string()))?;
    if pairs.len() > MAX_PAIRS {
        return Err(wrong(format!("{} pairs, {MAX_PAIRS} at most", pairs.len())));
    }
    let bytes = |text: String| {
        const_hex::decode(&text).map_err(|_| wrong(format!("`{text}` is not hexadecimal")))
    };
    pairs.into_iter().map(|(key, value)| Ok((bytes(key)?, value.map(bytes).transpose()?))).collect()
}

/// Mines to and through the next epoch block of a subnet; the block's number.
fn warp_to_epoch(node: &Node, mut args: Args) -> Result<u32, RpcError> {
    let netuid = args.number()?;
    let netuid = u16::try_from(netuid)
        .map_err(|_| RpcError::params(format!("{netuid} is no netuid: 65535 at most")))?;
    let (best, state) = node.chain.best_state();
    let next: Option<u64> = crate::execution::ask(
        &state,
        "SubnetInfoRuntimeApi_get_next_epoch_start_block",
        &netuid.encode(),
    )?;
    let next = next.ok_or_else(|| {
        RpcError::development(format!("subnet {netuid} does not exist or has no epochs"))
    })?;
    let blocks = next.saturating_sub(u64::from(best.header.number)).max(1);
    let blocks = u32::try_from(blocks)
        .ok()
        .filter(|blocks| *blocks <= MAX_BLOCKS)
        .ok_or_else(|| RpcError::development(format!("the next epoch is {blocks} blocks away")))?;
    Ok(node.mine(blocks, false)?.header.number)
}
