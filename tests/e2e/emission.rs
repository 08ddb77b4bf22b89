//! A challenge becomes emission.

use clap::Parser;
use ganglion::up::{self, Report, UpArgs};
use neuron::Shutdown;

/// The flags of `up`, parsed as on the command line.
#[derive(Debug, Parser)]
struct Up {
    #[command(flatten)]
    args: UpArgs,
}

fn up_args(flags: &[&str]) -> UpArgs {
    Up::parse_from(["up"].iter().chain(flags)).args
}

async fn subnet(flags: &[&str]) -> Report {
    Box::pin(up::run(&up_args(flags), Shutdown::new())).await.expect("the subnet runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_honest_miner_is_paid_and_the_others_are_not() {
    let report = subnet(&["--json", "--epochs", "2"]).await;
    let miner = |kind: &str| {
        report.miners.iter().find(|miner| miner.kind == kind).expect("one miner of each kind")
    };
    let (honest, substitute, lazy) = (miner("honest"), miner("substitute"), miner("lazy"));

    assert!(honest.incentive >= 0.8, "honest: {honest:?}");
    assert_eq!(honest.identity, "pass");
    assert!(substitute.incentive <= 0.1, "substitute: {substitute:?}");
    assert_eq!(substitute.identity, "fail");
    assert!(lazy.incentive <= f64::EPSILON, "lazy: {lazy:?}");

    assert!(honest.alpha_stake_after > honest.alpha_stake_before, "emission became stake");
    assert_eq!(lazy.alpha_stake_after, lazy.alpha_stake_before, "nothing for nothing");
    for validator in &report.validators {
        assert!(validator.weights_set >= 1, "{validator:?}");
        assert!(validator.validator_trust > 0.9, "{validator:?}");
        assert!(validator.dividends > 0.0, "{validator:?}");
    }
    assert_eq!(report.epochs, 2);
}
