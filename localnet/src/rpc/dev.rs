//! `dev_*`: what a test or a developer wants from a chain of their own.

use super::{Args, RegisterError, Registry, RpcError};
use crate::{node::Node, operator};
use codec::Encode;
use serde_json::{Value, json};

/// Blocks that one call may make: an hour's work at a few thousand a second is a mistake.
const MAX_BLOCKS: u32 = 1_000_000;

pub(super) fn register(methods: &mut Registry) -> Result<(), RegisterError> {
    methods.blocking(&["dev_mine", "dev_newBlock"], |node, mut args| {
        let count = block_count(&mut args)?;
        Ok(node.mine(count)?.hash)
    })?;
    methods.blocking(&["dev_warpToEpoch"], warp_to_epoch)?;
    methods.method(&["dev_setTime"], |node, mut args| {
        let now_ms = args.number()?;
        node.set_time(now_ms).map_err(|error| RpcError::development(error.to_string()))?;
        Ok(now_ms)
    })?;
    methods.method(&["dev_withholdPulses"], |node, mut args| {
        let blocks = block_count(&mut args)?;
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

/// `n`, or `{"count": n}`, or nothing (one).
fn block_count(args: &mut Args) -> Result<u32, RpcError> {
    let count = match args.next() {
        None => 1,
        Some(Value::Object(options)) => match options.get("count") {
            None | Some(Value::Null) => 1,
            Some(count) => args.number_in(count)?,
        },
        Some(count) => args.number_in(&count)?,
    };
    u32::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_BLOCKS)
        .ok_or_else(|| RpcError::params(format!("{count} blocks, {MAX_BLOCKS} at most at once")))
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
    Ok(node.mine(blocks)?.header.number)
}
