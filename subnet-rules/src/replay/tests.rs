use super::*;
use crate::arena::{Hyperparameters, Settings, play};
use crate::log::package_of;
use crate::serve::Serve;
use crate::serve::world::{self as serving, Serving};

fn rule() -> Arc<Serve> {
    Arc::new(Serve::shipped(serving::MODEL, &serving::calibration()).unwrap())
}

fn log() -> (Vec<String>, Digest) {
    let (rule, mut bytes) = (rule(), Vec::new());
    let cast = "honest:1,forger:1".parse().unwrap();
    let settings = Settings {
        epochs: 3,
        cast,
        validators: 2,
        seed: 5,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let season = play(&rule, &mut Serving::new(&rule, 5), &settings, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    (text.lines().map(str::to_owned).collect(), season.log)
}

fn replayed(lines: &[String]) -> Result<Replayed, ReplayError> {
    let text = lines.join("\n") + "\n";
    replay(&rule(), text.as_bytes())
}

#[test]
fn a_log_replays_to_the_same_weights_and_digest() {
    let (lines, head) = log();
    let again = replayed(&lines).unwrap();
    assert_eq!((again.rounds, again.settled, again.head), (48, 6, head));
}

#[test]
fn a_changed_measurement_breaks_the_chain_at_the_next_line() {
    let (mut lines, _) = log();
    let changed = lines[1].replacen("\"total_us\":", "\"total_us\":1", 1);
    assert_ne!(changed, lines[1]);
    lines[1] = changed;
    assert!(matches!(replayed(&lines), Err(ReplayError::Log(LogError::Broken { line: 3, .. }))));
}

#[test]
fn dropped_and_reordered_lines_break_the_chain() {
    let (mut lines, _) = log();
    lines.swap(2, 3);
    assert!(matches!(replayed(&lines), Err(ReplayError::Log(LogError::Broken { line: 3, .. }))));
    lines.remove(2);
    assert!(matches!(replayed(&lines), Err(ReplayError::Log(LogError::Broken { .. }))));
}

#[test]
fn a_truncated_log_is_named_so() {
    let (lines, _) = log();
    let mut text = lines.join("\n");
    text.truncate(text.len() - 5);
    let refused = replay(&rule(), text.as_bytes());
    assert!(
        matches!(refused, Err(ReplayError::Log(LogError::Truncated { line })) if line == lines.len() as u64)
    );
}

#[test]
fn a_log_of_another_rule_is_refused() {
    let (lines, _) = log();
    let other = Arc::new(Serve::shipped("other:f32", &serving::calibration()).unwrap());
    let refused = replay(&other, lines.join("\n").as_bytes());
    assert!(matches!(refused, Err(ReplayError::OtherRule { .. })));
}

#[test]
fn a_task_that_the_beacon_does_not_draw_is_refused() {
    let (lines, _) = log();
    let line = lines[1].replacen("\"epoch\":1", "\"epoch\":2", 1);
    assert_ne!(line, lines[1]);
    assert!(matches!(replayed(&[lines[0].clone(), line]), Err(ReplayError::OtherDraw { line: 2 })));
}

#[test]
fn other_weights_than_the_logged_ones_are_found_out() {
    let (mut lines, _) = log();
    let last = lines.pop().unwrap();
    let none = last.split("\"weights\":").next().unwrap().to_owned() + "\"weights\":null}}}";
    assert_ne!(none, last);
    lines.push(none);
    assert!(matches!(replayed(&lines), Err(ReplayError::OtherWeights { epoch: 3, .. })));
}

#[test]
fn a_changed_first_line_is_found_before_its_rule_is_used() {
    let (mut lines, _) = log();
    lines[0] = lines[0].replacen("0.05", "0.06", 1);
    let text = lines.join("\n") + "\n";
    let refused = package_of(text.as_bytes());
    assert!(matches!(refused, Err(LogError::Broken { line: 2, .. })), "{refused:?}");
}
