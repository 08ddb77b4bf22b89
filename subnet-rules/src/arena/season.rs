//! The loop of a season.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use chain_metadata::{Hotkey, Uid, Weights};
use scoring::book::Range;
use scoring::estimators::Verdict;
use scoring::weigh::WeighError;
use scoring::yuma::EpochError;

use super::cast::{Cast, Identity, Kind, hotkey};
use super::report::warm_up;
use super::subnet::{Hyperparameters, OWNER, Slots, Subnet, TEMPO, Venue, VenueError, Venues};
use crate::cases::at_once;
use crate::digest::Digest;
use crate::exchange::{Artefact, Fault, Message, Sending, Whom, Wire, execute};
use crate::log::{Body, BodyOf, Recorder};
use crate::panel::{Candidate, choose, unsure};
use crate::rule::{DrawOf, MeasuredOf, Rule, Subject};
use crate::secret::{Beacon, Ticket};
use crate::session::{ExamineError, Examiner, Round as _, RoundOf, Session as _, Settlement};
use crate::tools::{ToolError, Tools};

/// The subnet of a season.
const NETUID: u16 = 1;

/// What is played.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many epochs.
    pub epochs: u64,
    /// Who plays.
    pub cast: Cast,
    /// How many validators, of equal stake; the last ones are in league with colluders, one for each.
    pub validators: u16,
    /// Equal seeds play equal seasons.
    pub seed: u64,
    /// What the subnet's owner has set.
    pub chain: Hyperparameters,
    /// Miners that a validator examines in an epoch, where each has a task of its own; where not set, as
    /// the rule declares.
    pub panel: Option<usize>,
}

/// When and by whom an answer is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Which epoch.
    pub epoch: u64,
    /// Which validator, from 0.
    pub validator: u16,
}

/// The miners of a season: they send bytes, as miners behind sockets do. What becomes of the bytes is the
/// production code's.
pub trait World<R: Rule>: Send {
    /// A task was drawn, before anybody is asked: for what a real model would know of it.
    fn drawn(&mut self, _moment: Moment, _draw: &DrawOf<R>) {}

    /// The block of an epoch's commitments has come: whoever commits on chain does so now.
    fn committed(&mut self, _moment: Moment, _who: &[Identity]) {}

    /// What an identity sends.
    ///
    /// # Errors
    /// Nothing, and why.
    fn reply(
        &mut self,
        moment: Moment,
        who: &Identity,
        sending: &Sending,
        draw: &DrawOf<R>,
    ) -> Result<Message, Fault>;

    /// What all those who are asked at once send, in their order.
    fn replies(
        &mut self,
        moment: Moment,
        batch: &[(Identity, Sending)],
        draws: &[&DrawOf<R>],
    ) -> Vec<Result<Message, Fault>> {
        let each = batch.iter().zip(draws);
        each.map(|((who, sending), draw)| self.reply(moment, who, sending, draw)).collect()
    }

    /// What the identity at a place in the cast has committed: its latest artefact, and of earlier ones
    /// those that are wanted.
    fn artefacts(&mut self, _place: usize, _wanted: &[Digest]) -> Vec<Artefact> {
        Vec::new()
    }

    /// What validators measure with.
    fn tools(&self) -> Tools<'_> {
        Tools::default()
    }

    /// Units of work spent on judging and on answering so far.
    fn work(&self) -> (u64, u64);

    /// Why a kind can do nothing of its own against this rule, where it cannot; it answers nothing,
    /// or what a lazy one answers.
    fn inapplicable(&self, _kind: Kind) -> Option<&'static str> {
        None
    }
}

/// The wire of a season: its other end are actors.
struct Played<'w, R: Rule, W> {
    world: &'w mut W,
    moment: Moment,
    cast: &'w [Identity],
    round: &'w RoundOf<R>,
}

#[async_trait]
impl<R: Rule, W: World<R>> Wire for Played<'_, R, W> {
    async fn send(&mut self, batch: Vec<Sending>) -> Vec<Result<Message, Fault>> {
        let (mut batch_of, mut draws) = (Vec::with_capacity(batch.len()), Vec::new());
        for sending in batch {
            let who = self.cast.iter().find(|one| one.hotkey == sending.miner);
            // Both are there: the round was drawn for this cast.
            let (Some(who), Some(draw)) = (who, self.round.drawn(sending.place)) else { continue };
            batch_of.push((*who, sending));
            draws.push(draw);
        }
        self.world.replies(self.moment, &batch_of, &draws)
    }

    async fn artefacts(&mut self, miners: &[Hotkey], wanted: &[Digest]) -> Vec<Vec<Artefact>> {
        let place = |miner: &Hotkey| self.cast.iter().position(|one| one.hotkey == *miner);
        let places: Vec<_> = miners.iter().map(place).collect();
        let held = |place: Option<usize>| place.map(|place| self.world.artefacts(place, wanted));
        places.into_iter().map(held).map(Option::unwrap_or_default).collect()
    }
}

/// Why a season could not be played to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArenaError {
    /// More validators in league than there are.
    #[error(
        "{colluders} of {validators} validators are in league with colluders, and none is left: take more --validators, or fewer colluders"
    )]
    Validators {
        /// Colluders cast.
        colluders: usize,
        /// Validators in all.
        validators: u16,
    },
    /// A round could not be judged.
    #[error("epoch {epoch} cannot be judged")]
    Examine {
        /// Which.
        epoch: u64,
        /// Why.
        source: ExamineError,
    },
    /// The rule draws no task.
    #[error("epoch {epoch}: the rule draws no task: {why}")]
    Draw {
        /// Which.
        epoch: u64,
        /// Why.
        why: String,
    },
    /// A round could not be measured.
    #[error("epoch {epoch} cannot be measured")]
    Measure {
        /// Which.
        epoch: u64,
        /// Why.
        source: ToolError,
    },
    /// Weights could not be made.
    #[error("epoch {epoch} cannot be settled")]
    Weigh {
        /// Which.
        epoch: u64,
        /// Why.
        source: WeighError,
    },
    /// The epoch itself.
    #[error("the chain's epoch cannot be run")]
    Epoch(#[from] EpochError),
    /// The chain that the season is played on.
    #[error("the chain cannot be played on")]
    Venue(#[source] VenueError),
    /// The actors of a further season.
    #[error("the actors cannot play")]
    Actors(#[source] VenueError),
    /// The log could not be written.
    #[error("the log cannot be written")]
    Log(#[from] io::Error),
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Season {
    /// Who played.
    pub identities: Vec<Identity>,
    /// Incentive of each identity in each epoch, of 1: `incentive[epoch][identity]`.
    pub incentive: Vec<Vec<f64>>,
    /// Incentive that went to the owner's slot, by epoch: burned.
    pub burned: Vec<f64>,
    /// Epoch in which half the honest validators had convicted an identity.
    pub convicted: Vec<Option<u64>>,
    /// Worth of each identity by the first validator, by epoch.
    pub worth: Vec<Vec<Range>>,
    /// Draws in all, and of these the distinct ones.
    pub draws: (u64, u64),
    /// Epochs in which the first validator's weights, recomputed from serialised measurements, were
    /// the same; and epochs looked at.
    pub recomputed: (u64, u64),
    /// Units of work spent on judging and on answering.
    pub work: (u64, u64),
    /// The rule's own figures, from the first validator's state after the last epoch.
    pub figures: Vec<(String, f64)>,
    /// Kinds in the cast that can do nothing of their own against this rule, and why.
    pub inapplicable: Vec<(Kind, &'static str)>,
    /// What operators of several identities earned where they had one each, if that was
    /// [played](unsplit).
    pub unsplit: Option<Unsplit>,
    /// Where a chain was played on: the largest difference of an identity's incentive in an epoch
    /// between that chain and the epoch computed in process, of 1.
    pub apart: Option<f64>,
    /// Digest of the log.
    pub log: Digest,
}

/// Epochs for which a second examiner, fed through JSON, must reach the same weights.
const SHADOWED_EPOCHS: u64 = 20;

/// Plays a season; `log` gets the evidence log.
pub fn play<R: Rule, W: World<R>>(
    rule: &Arc<R>,
    world: &mut W,
    settings: &Settings,
    log: impl Write,
) -> Result<Season, ArenaError> {
    play_at(rule, world, settings, log, None)
}

/// Plays a season on a chain of `venues`, where there are any. The epoch is then computed in process
/// too, and the season says how far the two are apart.
///
/// # Errors
/// As [`play`], and what the chain refuses.
pub fn play_at<R: Rule, W: World<R>>(
    rule: &Arc<R>,
    world: &mut W,
    settings: &Settings,
    log: impl Write,
    venues: Option<&dyn Venues>,
) -> Result<Season, ArenaError> {
    let mut stage = Stage::new(rule, settings, log, venues)?;
    for epoch in 1..=settings.epochs {
        stage.rounds(world, epoch)?;
        stage.settle(epoch)?;
    }
    stage.season.work = world.work();
    let figures = rule.figures(stage.examiners[0].own_state());
    stage.season.figures =
        figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    stage.season.inapplicable =
        settings.cast.kinds().filter_map(|kind| Some((kind, world.inapplicable(kind)?))).collect();
    stage.season.log = stage.recorder.head();
    stage.season.draws.1 = stage.seen.len() as u64;
    Ok(stage.season)
}

/// What operators of several identities earned together as several and as one each, shares of all
/// incentive.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsplit {
    /// In each epoch of the season, as one each.
    pub alone: Vec<f64>,
    /// In further seasons of other seeds: as several, as one each. One short season says little of what
    /// was luck in it.
    pub further: Vec<(f64, f64)>,
}

/// Epochs that are played split and unsplit, at least.
const PAIRED_EPOCHS: u64 = 200;

/// Plays the same season with one identity for each operator of several, where the cast has such, and
/// further pairs of seasons where the season is short.
///
/// # Errors
/// As [`play`].
pub fn unsplit<R: Rule, W: World<R>>(
    rule: &Arc<R>,
    world: impl Fn(u64) -> Result<W, ArenaError>,
    settings: &Settings,
) -> Result<Option<Unsplit>, ArenaError> {
    let Some(one_each) = settings.cast.unsplit() else { return Ok(None) };
    let splitters = settings.cast.splitters();
    let earned = |cast: &Cast, seed: u64| {
        let settings = Settings { cast: cast.clone(), seed, ..settings.clone() };
        let season = play(rule, &mut world(seed)?, &settings, io::sink())?;
        Ok::<_, ArenaError>(season.of(&splitters))
    };
    let alone = earned(&one_each, settings.seed)?;
    let pairs = PAIRED_EPOCHS.div_ceil(settings.epochs.max(1));
    let further = (1..pairs)
        .map(|pair| {
            let seed = settings.seed.wrapping_add(pair.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let of = |cast| Ok::<_, ArenaError>(settled_mean(&earned(cast, seed)?));
            Ok((of(&settings.cast)?, of(&one_each)?))
        })
        .collect::<Result<_, ArenaError>>()?;
    Ok(Some(Unsplit { alone, further }))
}

/// The mean over the epochs that count.
pub(super) fn settled_mean(shares: &[f64]) -> f64 {
    let counted = shares.get(warm_up(shares.len())..).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "epochs are far below 2^53")]
    let count = counted.len().max(1) as f64;
    counted.iter().sum::<f64>() / count
}

impl Season {
    /// What these operators earned together in each epoch.
    pub(super) fn of(&self, operators: &impl Fn(usize) -> bool) -> Vec<f64> {
        let earned = |row: &Vec<f64>| {
            let theirs = self.identities.iter().zip(row).filter(|(one, _)| operators(one.operator));
            theirs.map(|(_, share)| share).sum()
        };
        self.incentive.iter().map(earned).collect()
    }
}

struct Stage<'s, R: Rule, L> {
    rule_digest: Digest,
    settings: &'s Settings,
    honest_validators: u16,
    examiners: Vec<Examiner<R>>,
    shadow: Examiner<R>,
    subnet: Subnet,
    venue: Option<Box<dyn Venue>>,
    recorder: Recorder<L>,
    seen: BTreeSet<Digest>,
    accusers: Vec<u16>,
    season: Season,
}

impl<'s, R: Rule, L: Write> Stage<'s, R, L> {
    fn new(
        rule: &Arc<R>,
        settings: &'s Settings,
        log: L,
        venues: Option<&dyn Venues>,
    ) -> Result<Self, ArenaError> {
        let identities = settings.cast.identities(settings.seed, 1 + settings.validators);
        let colluders = identities.iter().filter(|one| one.kind == Kind::Colluder).count();
        let in_league = u16::try_from(colluders).unwrap_or(u16::MAX);
        let honest_validators = settings
            .validators
            .checked_sub(in_league)
            .filter(|honest| *honest > 0)
            .ok_or(ArenaError::Validators { colluders, validators: settings.validators })?;
        let miners = identities.len();
        let (validators, chain) = (settings.validators, settings.chain);
        let slots = Slots { validators, miners, tempo: TEMPO, chain };
        let venue = venues.map(|venues| venues.open(slots)).transpose();
        Ok(Self {
            rule_digest: rule.digest(),
            settings,
            honest_validators,
            examiners: (0..honest_validators).map(|_| Examiner::new(Arc::clone(rule))).collect(),
            shadow: Examiner::new(Arc::clone(rule)),
            subnet: Subnet::new(usize::from(settings.validators), miners, settings.chain),
            venue: venue.map_err(ArenaError::Venue)?,
            recorder: Recorder::open(&**rule, log)?,
            seen: BTreeSet::new(),
            accusers: vec![0; miners],
            season: Season {
                identities,
                incentive: Vec::new(),
                burned: Vec::new(),
                convicted: vec![None; miners],
                worth: Vec::new(),
                draws: (0, 0),
                recomputed: (0, 0),
                work: (0, 0),
                figures: Vec::new(),
                inapplicable: Vec::new(),
                unsplit: None,
                apart: None,
                log: Digest([0; 32]),
            },
        })
    }

    fn rounds<W: World<R>>(&mut self, world: &mut W, epoch: u64) -> Result<(), ArenaError> {
        world.committed(Moment { epoch, validator: 0 }, &self.season.identities);
        for validator in 0..self.honest_validators {
            self.round(world, Moment { epoch, validator })?;
        }
        self.examiners.iter_mut().chain([&mut self.shadow]).for_each(Examiner::close);
        Ok(())
    }

    /// The draws of a round: with tasks of their own so many for each of the panel, else so many for all.
    fn subjects(&self, moment: Moment) -> Vec<Subject> {
        let examiner = &self.examiners[usize::from(moment.validator)];
        let draws = examiner.manifest().examine.draws() as usize;
        let all = || self.season.identities.iter().map(|one| one.hotkey);
        let of = |subject: Subject| std::iter::repeat_n(subject, draws);
        match examiner.whom() {
            Whom::Each => {
                let panel = self.panel(moment).unwrap_or_else(|| all().collect());
                let asked = all().filter(|hotkey| panel.contains(hotkey));
                asked.flat_map(|hotkey| of(Subject::Miner(hotkey))).collect()
            }
            Whom::Shared => of(Subject::Shared(all().collect())).collect(),
            Whom::Committed => of(Subject::Committed(all().collect())).collect(),
        }
    }

    /// Whom a validator examines: the new and the unsure first; everybody where the rule and the settings
    /// name no number.
    fn panel(&self, Moment { epoch, validator }: Moment) -> Option<Vec<Hotkey>> {
        let examiner = &self.examiners[usize::from(validator)];
        let size = self.settings.panel.or(examiner.manifest().examine.panel)?;
        let candidate = |one: &Identity| Candidate {
            hotkey: one.hotkey,
            unsure: unsure(&examiner.assess(&one.hotkey, epoch)),
            asked: examiner.book().standing(&one.hotkey).map(|known| known.latest_epoch),
        };
        let candidates: Vec<_> = self.season.identities.iter().map(candidate).collect();
        let seed = Digest::of(
            "ganglion/arena/panel",
            &[&self.settings.seed.to_le_bytes(), &epoch.to_le_bytes(), &validator.to_le_bytes()],
        );
        Some(choose(&candidates, size, seed.0))
    }

    fn ticket(&self, Moment { epoch, validator }: Moment) -> Ticket {
        let (seed, height) = (self.settings.seed, epoch * u64::from(TEMPO));
        let parts: [&[u8]; 2] = [&seed.to_le_bytes(), &height.to_le_bytes()];
        let beacon = Beacon {
            genesis: Digest([0; 32]),
            netuid: NETUID,
            mechid: 0,
            rule: self.rule_digest,
            epoch,
            height,
            hash: Digest::of("ganglion/arena/block", &parts),
        };
        Ticket::rehearsed(hotkey(seed, "validator", validator), beacon, seed)
    }

    /// Draws, asks, measures and judges as a validator does.
    fn round<W: World<R>>(&mut self, world: &mut W, moment: Moment) -> Result<(), ArenaError> {
        let epoch = moment.epoch;
        let ticket = self.ticket(moment);
        let mut round = self.examiners[usize::from(moment.validator)].round(ticket.clone());
        let subjects = self.subjects(moment);
        let tasks = subjects.len();
        for (counter, subject) in (0..).zip(subjects) {
            round.draw(subject, counter).map_err(|why| ArenaError::Draw { epoch, why })?;
        }
        (0..tasks)
            .filter_map(|place| round.drawn(place))
            .for_each(|draw| world.drawn(moment, draw));
        let measured = self.measured(world, moment, &round, tasks)?;
        for ((subject, counter, draw), measured) in round.into_tasks().into_iter().zip(measured) {
            let ticket = Box::new(ticket.clone());
            let body: BodyOf<R> = Body::Round { ticket, subject, counter, draw, measured };
            self.take(moment, &body)?;
        }
        Ok(())
    }

    /// What the production exchange and the production measure make of what the actors send.
    fn measured<W: World<R>>(
        &self,
        world: &mut W,
        moment: Moment,
        round: &RoundOf<R>,
        tasks: usize,
    ) -> Result<Vec<Vec<MeasuredOf<R>>>, ArenaError> {
        let failed = |source| ArenaError::Measure { epoch: moment.epoch, source };
        let waits = || failed(ToolError::failed("a tool of the arena waits"));
        let cast = &self.season.identities;
        let mut wire = Played { world: &mut *world, moment, cast, round };
        let came = at_once(execute(round, &mut wire)).ok_or_else(waits)?;
        let tools = world.tools();
        let mut measured: Vec<Vec<_>> = (0..tasks).map(|_| Vec::new()).collect();
        for (place, miner, exchanged) in came {
            let one = at_once(round.measured(place, miner, &exchanged, &tools));
            measured[place].push(one.ok_or_else(waits)?.map_err(failed)?);
        }
        Ok(measured)
    }

    fn take(&mut self, moment: Moment, body: &BodyOf<R>) -> Result<(), ArenaError> {
        let (epoch, validator) = (moment.epoch, moment.validator);
        let Body::Round { subject, draw, measured, .. } = body else { return Ok(()) };
        self.examiners[usize::from(validator)]
            .take(epoch, draw, measured)
            .map_err(|source| ArenaError::Examine { epoch, source })?;
        // A task that all validators share is one.
        if validator == 0 || !matches!(subject, Subject::Committed(_)) {
            self.season.draws.0 += 1;
        }
        let public = serde_json::to_vec(&draw.public).map_err(io::Error::from)?;
        self.seen.insert(Digest::of("ganglion/arena/draw", &[&public]));
        self.recorder.append::<R>(body)?;
        if validator == 0 && epoch <= SHADOWED_EPOCHS {
            self.shadow_round(epoch, body)?;
        }
        Ok(())
    }

    /// Judges the round again from its serialised form alone.
    fn shadow_round(&mut self, epoch: u64, body: &BodyOf<R>) -> Result<(), ArenaError> {
        let text = serde_json::to_string(body).map_err(io::Error::from)?;
        let again: BodyOf<R> = serde_json::from_str(&text).map_err(io::Error::from)?;
        if let Body::Round { draw, measured, .. } = again {
            self.shadow
                .take(epoch, &draw, &measured)
                .map_err(|source| ArenaError::Examine { epoch, source })?;
        }
        Ok(())
    }

    fn settle(&mut self, epoch: u64) -> Result<(), ArenaError> {
        let miners: Vec<_> =
            self.season.identities.iter().map(|one| (one.hotkey, Some(one.uid))).collect();
        self.accusers.fill(0);
        for validator in 0..self.honest_validators {
            self.settle_one(epoch, validator, &miners)?;
        }
        self.favour_cronies()?;
        self.convict(epoch);
        let incentive = self.epoch()?;
        let share = |uid: Uid| {
            f64::from(incentive.get(usize::from(uid.0)).copied().unwrap_or(0)) / f64::from(u16::MAX)
        };
        self.season
            .incentive
            .push(self.season.identities.iter().map(|one| share(one.uid)).collect());
        self.season.burned.push(share(OWNER));
        Ok(())
    }

    fn settle_one(
        &mut self,
        epoch: u64,
        validator: u16,
        miners: &[(Hotkey, Option<Uid>)],
    ) -> Result<(), ArenaError> {
        let settle = |examiner: &Examiner<R>| {
            examiner
                .settle(epoch, miners, Some(OWNER))
                .map_err(|source| ArenaError::Weigh { epoch, source })
        };
        let settlement = settle(&self.examiners[usize::from(validator)])?;
        if let Some(weights) = &settlement.weights {
            self.set_weights(Uid(1 + validator), weights)?;
        }
        self.note(validator, &settlement);
        if validator == 0 && epoch <= SHADOWED_EPOCHS {
            let again = settle(&self.shadow)?;
            self.season.recomputed.0 += u64::from(again.weights == settlement.weights);
            self.season.recomputed.1 += 1;
        }
        self.recorder.append::<R>(&Body::Settled {
            validator: hotkey(self.settings.seed, "validator", validator),
            epoch,
            miners: miners.to_vec(),
            burn_uid: Some(OWNER),
            weights: settlement.weights,
        })?;
        Ok(())
    }

    /// Who is accused by whom, and what the first validator thinks of each.
    fn note(&mut self, validator: u16, settlement: &Settlement) {
        for (accusers, (_, assessment)) in self.accusers.iter_mut().zip(&settlement.assessments) {
            let failed = assessment.gates.values().any(|verdict| *verdict == Verdict::Fail);
            *accusers += u16::from(failed);
        }
        if validator == 0 {
            let worth = settlement.assessments.iter().map(|(_, one)| one.range()).collect();
            self.season.worth.push(worth);
        }
    }

    /// Validators in league give everything to their own.
    fn favour_cronies(&mut self) -> Result<(), ArenaError> {
        let cronies = self.season.identities.iter().filter(|one| one.kind == Kind::Colluder);
        let cronies: Vec<(Uid, u16)> = cronies.map(|one| (one.uid, u16::MAX)).collect();
        let count = u16::try_from(cronies.len()).unwrap_or(u16::MAX);
        // Slots ascend, and no weight is nought.
        let Ok(weights) = Weights::try_from(cronies) else { return Ok(()) };
        for validator in self.honest_validators..self.honest_validators.saturating_add(count) {
            self.set_weights(Uid(1 + validator), &weights)?;
        }
        Ok(())
    }

    fn set_weights(&mut self, uid: Uid, weights: &Weights) -> Result<(), ArenaError> {
        self.subnet.set_weights(uid, Some(weights));
        let on_chain = self.venue.as_mut().map(|venue| venue.set_weights(uid, weights));
        on_chain.transpose().map_err(ArenaError::Venue)?;
        Ok(())
    }

    /// Incentive by slot: the chain's, where one is played on.
    fn epoch(&mut self) -> Result<Vec<u16>, ArenaError> {
        let computed = self.subnet.epoch()?.incentive;
        let Some(venue) = &mut self.venue else { return Ok(computed) };
        let on_chain = venue.epoch().map_err(ArenaError::Venue)?;
        let apart = computed.iter().zip(&on_chain).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        let apart = f64::from(apart) / f64::from(u16::MAX);
        self.season.apart = Some(self.season.apart.unwrap_or(0.0).max(apart));
        Ok(on_chain)
    }

    fn convict(&mut self, epoch: u64) {
        let half = self.honest_validators.div_ceil(2);
        for (convicted, accusers) in self.season.convicted.iter_mut().zip(&self.accusers) {
            if *accusers >= half {
                convicted.get_or_insert(epoch);
            }
        }
    }
}
