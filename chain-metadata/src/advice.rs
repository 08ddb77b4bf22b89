//! Every refusal the suite may meet, with what to do about it.

/// What to do about a dispatch error, by the pallet and the error's name in the metadata.
///
/// `None` for an error none of our calls can meet.
pub fn advice(pallet: &str, error: &str) -> Option<&'static str> {
    ERRORS.iter().find(|&&(p, e, _)| (p, e) == (pallet, error)).map(|&(_, _, advice)| advice)
}

/// Every dispatch error with an advice: pallet, name.
pub fn errors() -> impl Iterator<Item = (&'static str, &'static str)> {
    ERRORS.iter().map(|&(pallet, error, _)| (pallet, error))
}

/// A refusal of the transaction pool, `InvalidTransaction::Custom(code)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCode {
    /// The number in the refusal.
    pub code: u8,
    /// The chain's name of it.
    pub name: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// What a pool code says; the last resort is code 255.
pub fn pool_code(code: u8) -> PoolCode {
    let found = POOL_CODES.iter().find(|&&(known, ..)| known == code);
    let &(_, name, advice) = found.unwrap_or(&(
        code,
        "Unknown",
        "the chain is newer than this program: run `ganglion chain check` against it",
    ));
    PoolCode { code, name, advice }
}

const SUBTENSOR: &str = "SubtensorModule";
const ADMIN: &str = "AdminUtils";
const BALANCES: &str = "Balances";
const COMMITMENTS: &str = "Commitments";
const SWAP: &str = "Swap";

/// Pallet, error, advice.
#[rustfmt::skip]
const ERRORS: &[(&str, &str, &str)] = &[
    // Who and where.
    (SUBTENSOR, "SubnetNotExists", "no subnet has this netuid; `ganglion chain metagraph` lists a subnet's neurons, btcli lists the subnets"),
    (SUBTENSOR, "MechanismDoesNotExist", "the subnet has fewer mechanisms; use mechanism 0"),
    (SUBTENSOR, "HotKeyNotRegisteredInSubNet", "register the hotkey on this subnet first; it may also have lost its slot"),
    (SUBTENSOR, "HotKeyNotRegisteredInNetwork", "register the hotkey on this subnet first; it may also have lost its slot"),
    (SUBTENSOR, "HotKeyAccountNotExists", "the chain does not know this hotkey: register or associate it first"),
    (SUBTENSOR, "NonAssociatedColdKey", "the hotkey belongs to another coldkey: sign with the coldkey that registered it"),
    (SUBTENSOR, "NotSubnetOwner", "only the coldkey that owns the subnet may do this; ownership can move, so read SubnetOwner again"),
    (SUBTENSOR, "CannotUseSystemAccount", "this account belongs to the chain itself: use a key of your own"),
    // Weights.
    (SUBTENSOR, "NeuronNoValidatorPermit", "the hotkey has no validator permit: it needs more stake than the weakest permitted validator, and permits change only at an epoch"),
    (SUBTENSOR, "NotEnoughStakeToSetWeights", "stake more to this hotkey: it is below the network's threshold for setting weights"),
    (SUBTENSOR, "SettingWeightsTooFast", "wait until WeightsSetRateLimit blocks have passed since the last update; registration counts as one"),
    (SUBTENSOR, "CommittingWeightsTooFast", "wait until WeightsSetRateLimit blocks have passed since the last commit"),
    (SUBTENSOR, "IncorrectWeightVersionKey", "the subnet asks for a newer validator: update it, or set its version key to WeightsVersionKey"),
    (SUBTENSOR, "WeightVecNotEqualSize", "uids and values differ in number: this is a bug of the sender"),
    (SUBTENSOR, "DuplicateUids", "a uid appears twice: this is a bug of the sender"),
    (SUBTENSOR, "UidVecContainInvalidOne", "a uid does not exist on the subnet: read the metagraph again"),
    (SUBTENSOR, "UidsLengthExceedUidsInSubNet", "more weights than the subnet has neurons: read the metagraph again"),
    (SUBTENSOR, "WeightVecLengthIsLow", "pay at least MinAllowedWeights uids (or all, if the subnet has fewer)"),
    (SUBTENSOR, "MaxWeightExceeded", "one uid gets more than the subnet allows: spread the weights"),
    (SUBTENSOR, "CommitRevealEnabled", "the subnet takes weights by commit and reveal only"),
    (SUBTENSOR, "CommitRevealDisabled", "the subnet takes open weights only"),
    (SUBTENSOR, "IncorrectCommitRevealVersion", "the chain changed its version of timelocked commits: update this program"),
    (SUBTENSOR, "TooManyUnrevealedCommits", "ten commits wait for their reveal: wait for the next epoch, and look for a second process that uses this hotkey"),
    (SUBTENSOR, "NoWeightsCommitFound", "there is no such commit: it was revealed, has expired, or was made by another salt"),
    (SUBTENSOR, "InvalidRevealCommitHashNotMatch", "the revealed weights or the salt are not the committed ones: look at the journal"),
    (SUBTENSOR, "ExpiredWeightCommit", "the epoch of the reveal has passed: these weights are lost, commit anew"),
    (SUBTENSOR, "RevealTooEarly", "wait for the epoch of the reveal: RevealPeriodEpochs after the commit's"),
    (SUBTENSOR, "InvalidRevealRound", "the reveal round lies in the past: compare the clock of this machine with the chain's"),
    (SUBTENSOR, "CommitPayloadTooLarge", "the commit is too long: pay fewer uids"),
    (SUBTENSOR, "CommitQueueFull", "the subnet's queue of commits is full: try again after the next epoch"),
    (SUBTENSOR, "CanNotSetRootNetworkWeights", "the root network takes no weights this way"),
    (SUBTENSOR, "RootWeightSettingDisabled", "the root network takes no weights now"),
    (SUBTENSOR, "InputLengthsUnequal", "the lists of a batch differ in length: this is a bug of the sender"),
    (SUBTENSOR, "TooManyUIDsPerMechanism", "fewer mechanisms or fewer uids: their product is limited"),
    // Serving.
    (SUBTENSOR, "ServingRateLimitExceeded", "wait ServingRateLimit blocks between two announcements"),
    (SUBTENSOR, "InvalidIpType", "the address must be IPv4 or IPv6"),
    (SUBTENSOR, "InvalidIpAddress", "the chain refuses this address (127.0.0.1 among others): announce a public one, or 0.0.0.0 on this machine"),
    (SUBTENSOR, "InvalidPort", "announce a port other than 0"),
    // Registration.
    (SUBTENSOR, "SubNetRegistrationDisabled", "the owner has closed registration on this subnet"),
    (SUBTENSOR, "RegistrationNotPermittedOnRootSubnet", "the root network has a registration of its own (root_register)"),
    (SUBTENSOR, "HotKeyAlreadyRegisteredInSubNet", "the hotkey has a slot already; there is nothing to do"),
    (SUBTENSOR, "RegistrationPriceLimitExceeded", "registration costs more than the limit: raise it or wait for the price to fall"),
    (SUBTENSOR, "NotEnoughBalanceToStake", "the coldkey has too little TAO for this"),
    (SUBTENSOR, "NoNeuronIdAvailable", "every slot is taken by a neuron that cannot be replaced: try again later"),
    (SUBTENSOR, "TooManyRegistrationsThisBlock", "try again in the next block"),
    (SUBTENSOR, "TooManyRegistrationsThisInterval", "try again in the next interval"),
    (SUBTENSOR, "InvalidWorkBlock", "the proof of work is for an old block: solve it again"),
    (SUBTENSOR, "InvalidDifficulty", "the proof of work is too easy: solve it again at the present difficulty"),
    (SUBTENSOR, "InvalidSeal", "the proof of work does not fit the keys: solve it again"),
    (SUBTENSOR, "StakeTooLowForRoot", "the root network wants more stake than its weakest member has"),
    (SUBTENSOR, "ColdkeyCollateralIncomplete", "the coldkey has collateral outstanding: complete it first"),
    (SUBTENSOR, "ColdkeyCollateralPositionsFull", "the coldkey holds collateral on too many hotkeys: let some drain"),
    (SUBTENSOR, "KeepStakeBlockedByCollateral", "collateral cannot leave with the hotkey: let it drain first"),
    // Subnets.
    (SUBTENSOR, "NetworkTxRateLimitExceeded", "a subnet was registered moments ago: wait NetworkRateLimit blocks"),
    (SUBTENSOR, "CannotAffordLockCost", "the coldkey has too little TAO for the lock"),
    (SUBTENSOR, "SubnetLimitReached", "all subnets are taken and none can be replaced yet"),
    (SUBTENSOR, "AllNetworksInImmunity", "all subnets are taken and none can be replaced yet"),
    (SUBTENSOR, "InvalidIdentity", "a field of the identity is too long"),
    (SUBTENSOR, "FirstEmissionBlockNumberAlreadySet", "the subnet has started already; there is nothing to do"),
    (SUBTENSOR, "NeedWaitingMoreBlocksToStarCall", "wait StartCallDelay blocks after the subnet's registration"),
    (SUBTENSOR, "StartCallNotReady", "wait StartCallDelay blocks after the subnet's registration"),
    (SUBTENSOR, "WaitingForDissolvedSubnetCleanup", "a dissolved subnet is being cleaned up: try again in some blocks"),
    (SUBTENSOR, "NetworkDissolveAlreadyQueued", "the subnet is being dissolved already"),
    (SUBTENSOR, "TempoOutOfBounds", "choose a tempo of 360 to 50,400 blocks"),
    (SUBTENSOR, "ActivityCutoffFactorMilliOutOfBounds", "choose a factor of 1,000 to 50,000"),
    (SUBTENSOR, "ActivityCutoffTooLow", "choose a larger activity cutoff"),
    (SUBTENSOR, "EpochTriggerAlreadyPending", "an epoch has been asked for already"),
    (SUBTENSOR, "AutoEpochAlreadyImminent", "the next epoch is closer than the one asked for would be"),
    (SUBTENSOR, "DynamicTempoBlockedByCommitReveal", "not while commit and reveal is on: its reveals are counted in epochs"),
    (SUBTENSOR, "AdminActionProhibitedDuringWeightsWindow", "the last blocks before an epoch are frozen: try again after it"),
    (SUBTENSOR, "TxRateLimitExceeded", "this was changed recently: wait for the rate limit (for an owner, two tempos per parameter)"),
    (SUBTENSOR, "RevealPeriodTooLarge", "choose a reveal period of 1 to 100 epochs"),
    (SUBTENSOR, "RevealPeriodTooSmall", "choose a reveal period of 1 to 100 epochs"),
    (SUBTENSOR, "InvalidValue", "the value is out of bounds"),
    (SUBTENSOR, "LiquidAlphaDisabled", "switch liquid alpha on first"),
    (SUBTENSOR, "AlphaHighTooLow", "alpha_high must be at least 1638 (2.5 %)"),
    (SUBTENSOR, "AlphaLowOutOfRange", "alpha_low must be from 1638 to alpha_high"),
    (SUBTENSOR, "SymbolDoesNotExist", "choose a symbol of the chain's list"),
    (SUBTENSOR, "SymbolAlreadyInUse", "another subnet has this symbol"),
    (SUBTENSOR, "TrimmingWouldExceedMaxImmunePercentage", "too many neurons are immune to be trimmed now"),
    // Stake.
    (SUBTENSOR, "SubtokenDisabled", "the subnet has not started: its owner must send start_call"),
    (SUBTENSOR, "AmountTooLow", "stake at least 0.002 TAO and the fee"),
    (SUBTENSOR, "NotEnoughStake", "the coldkey has less stake than that here"),
    (SUBTENSOR, "NotEnoughStakeToWithdraw", "the coldkey has less stake than that here"),
    (SUBTENSOR, "StakeUnavailable", "part of the stake is locked"),
    (SUBTENSOR, "InsufficientLiquidity", "the pool is too small for this amount"),
    (SUBTENSOR, "SlippageTooHigh", "the price moves past the limit: a smaller amount or a wider limit"),
    (SUBTENSOR, "TransferDisallowed", "the subnet does not allow stake to be transferred"),
    (SUBTENSOR, "SameNetuid", "origin and destination are the same"),
    (SUBTENSOR, "StakingRateLimitExceeded", "one stake operation per block here: try again in the next"),
    (SUBTENSOR, "InsufficientAlphaBalance", "the coldkey has less alpha than that here"),
    (SUBTENSOR, "InsufficientTaoBalance", "the coldkey has too little TAO for this"),
    (SUBTENSOR, "BalanceWithdrawalError", "the coldkey's TAO cannot be withdrawn: part of it may be frozen"),
    (SUBTENSOR, "ZeroBalanceAfterWithdrawn", "nothing would be left: keep at least the existential deposit"),
    (SUBTENSOR, "RootStakeLocked", "stake on root is locked for a while after staking"),
    (SUBTENSOR, "TooManyStakingHotkeys", "the coldkey stakes to too many hotkeys"),
    // Children and takes.
    (SUBTENSOR, "InvalidChild", "a hotkey cannot be its own child"),
    (SUBTENSOR, "DuplicateChild", "a child appears twice"),
    (SUBTENSOR, "ProportionOverflow", "the children's shares are more than the whole"),
    (SUBTENSOR, "TooManyChildren", "at most five children"),
    (SUBTENSOR, "NotEnoughStakeToSetChildkeys", "stake more to this hotkey first"),
    (SUBTENSOR, "InvalidChildkeyTake", "choose a take of at most 18 %"),
    (SUBTENSOR, "TxChildkeyTakeRateLimitExceeded", "the childkey take was changed recently: wait"),
    (SUBTENSOR, "DelegateTakeTooLow", "the new take must be higher than the present one"),
    (SUBTENSOR, "DelegateTakeTooHigh", "choose a take of at most 18 %"),
    (SUBTENSOR, "DelegateTxRateLimitExceeded", "the take was changed recently: wait"),
    (SUBTENSOR, "HotKeySetTxRateLimitExceeded", "hotkeys were swapped recently: wait"),
    // Swaps of keys.
    (SUBTENSOR, "ColdkeySwapAnnounced", "the coldkey is being swapped: this must wait, or be sent by the new one"),
    (SUBTENSOR, "ColdkeySwapDisputed", "the coldkey's swap is disputed: nothing moves until it is settled"),
    (SUBTENSOR, "NewColdKeyIsHotkey", "the new coldkey is some neuron's hotkey: choose another"),
    // Temporarily.
    (SUBTENSOR, "DisabledTemporarily", "the chain has switched this off for now"),
    (SUBTENSOR, "CallDisabled", "the chain has switched this off"),
    (SUBTENSOR, "Deprecated", "the chain does not do this any more: update this program"),
    // Hyperparameters.
    (ADMIN, "SubnetDoesNotExist", "no subnet has this netuid"),
    (ADMIN, "MaxValidatorsLargerThanMaxUIds", "not more validators than slots"),
    (ADMIN, "MaxAllowedUIdsLessThanCurrentUIds", "the subnet has more neurons than that: trim it first"),
    (ADMIN, "MaxAllowedUidsLessThanMinAllowedUids", "at least as many slots as the minimum"),
    (ADMIN, "MaxAllowedUidsGreaterThanDefaultMaxAllowedUids", "at most 256 slots (over all mechanisms)"),
    (ADMIN, "MinAllowedUidsGreaterThanCurrentUids", "the subnet has fewer neurons than that"),
    (ADMIN, "MinAllowedUidsGreaterThanMaxAllowedUids", "not more than the slots there are"),
    (ADMIN, "BondsMovingAverageMaxReached", "an owner may set at most 975,000"),
    (ADMIN, "NegativeSigmoidSteepness", "an owner may not set it below zero"),
    (ADMIN, "ValueNotInBounds", "the value is out of bounds"),
    (ADMIN, "InvalidValue", "the value is out of bounds"),
    (ADMIN, "NotPermittedOnRootSubnet", "the root network does not have this"),
    (ADMIN, "POWRegistrationDisabled", "the chain has no registration by work"),
    (ADMIN, "Deprecated", "the chain does not do this any more: update this program"),
    (ADMIN, "CollateralLockShareTooHigh", "at most 95 %"),
    (ADMIN, "CollateralDrainRatioOutOfBounds", "more than 0 and at most 10"),
    // Money.
    (BALANCES, "InsufficientBalance", "the account has too little TAO for this and its fee"),
    (BALANCES, "ExistentialDeposit", "the receiver must hold at least 500 rao afterwards"),
    (BALANCES, "Expendability", "this would empty the account: keep at least 500 rao, or allow its death"),
    (BALANCES, "LiquidityRestrictions", "part of the account is locked or reserved"),
    // Commitments.
    (COMMITMENTS, "AccountNotAllowedCommit", "only a registered neuron may commit: register the hotkey first"),
    (COMMITMENTS, "SpaceLimitExceeded", "too many bytes committed this epoch: wait for the next"),
    (COMMITMENTS, "TooManyFieldsInCommitmentInfo", "at most three fields"),
    // The pool of TAO and alpha.
    (SWAP, "PriceLimitExceeded", "the price is past the limit: a wider limit, or later"),
    (SWAP, "InsufficientLiquidity", "the pool is too small for this amount"),
    (SWAP, "InsufficientBalance", "the account has too little for this"),
    (SWAP, "ReservesTooLow", "the pool is too small for this amount"),
    (SWAP, "ReservesOutOfBalance", "the pool is out of balance: try a smaller amount"),
    (SWAP, "SwapInputTooLarge", "a smaller amount at a time"),
    (SWAP, "MechanismDoesNotExist", "the subnet has no pool"),
    (SWAP, "SubtokenDisabled", "the subnet has not started: its owner must send start_call"),
    // The frame of it all.
    ("System", "CallFiltered", "the chain does not take this call now (safe mode, or a batch within a batch)"),
    ("Sudo", "RequireSudo", "only the chain's sudo key may do this"),
    ("Utility", "TooManyCalls", "fewer calls in one batch"),
    ("Proxy", "NotProxy", "the signer is no proxy of that account"),
    ("Proxy", "Unproxyable", "this kind of proxy may not send that call"),
];

/// Code, name, advice; names from the runtime's table of pool errors.
#[rustfmt::skip]
const POOL_CODES: &[(u8, &str, &str)] = &[
    (0, "ColdkeyInSwapSchedule", "the coldkey is being swapped: this must wait, or be sent by the new one"),
    (1, "StakeAmountTooLow", "for weights: stake more to the hotkey; for stake: at least 0.002 TAO and the fee"),
    (2, "BalanceTooLow", "the coldkey has too little TAO for this"),
    (3, "SubnetNotExists", "no subnet has this netuid"),
    (4, "HotkeyAccountDoesntExist", "the chain does not know this hotkey: register or associate it first"),
    (5, "NotEnoughStakeToWithdraw", "the coldkey has less stake than that here"),
    (6, "RateLimitExceeded", "too soon after the last one: for weights, wait WeightsSetRateLimit blocks; registration counts as an update"),
    (7, "InsufficientLiquidity", "the pool is too small for this amount"),
    (8, "SlippageTooHigh", "the price moves past the limit: a smaller amount or a wider limit"),
    (9, "TransferDisallowed", "the subnet does not allow stake to be transferred"),
    (10, "HotKeyNotRegisteredInNetwork", "register the hotkey on this subnet first; it may also have lost its slot"),
    (11, "InvalidIpAddress", "the chain refuses this address (127.0.0.1 among others): announce a public one, or 0.0.0.0 on this machine"),
    (12, "ServingRateLimitExceeded", "wait ServingRateLimit blocks between two announcements"),
    (13, "InvalidPort", "announce a port other than 0"),
    (14, "ZeroMaxAmount", "the price is past the limit already: a wider limit, or later"),
    (15, "InvalidRevealRound", "the reveal round lies in the past: compare the clock of this machine with the chain's"),
    (16, "CommitNotFound", "there is no such commit: it was revealed, has expired, or was made by another salt"),
    (17, "CommitBlockNotInRevealRange", "this is not the epoch of the reveal: RevealPeriodEpochs after the commit's, neither earlier nor later"),
    (18, "InputLengthsUnequal", "the lists of a batch differ in length: this is a bug of the sender"),
    (19, "UidNotFound", "the hotkey has no slot on this subnet: register it first"),
    (20, "EvmKeyAssociateRateLimitExceeded", "wait before associating another EVM key"),
    (21, "ColdkeySwapDisputed", "the coldkey's swap is disputed: nothing moves until it is settled"),
    (22, "InvalidRealAccount", "the proxied account is not valid"),
    (23, "FailedShieldedTxParsing", "the shielded transaction cannot be read: encrypt it to the present key"),
    (24, "InvalidShieldedTxPubKeyHash", "the shielded transaction is for an old key: encrypt it to the present one"),
    (25, "NonAssociatedColdKey", "the hotkey belongs to another coldkey: sign with the coldkey that registered it"),
    (26, "DelegateTakeTooLow", "the new take must be higher than the present one"),
    (27, "DelegateTakeTooHigh", "choose a take of at most 18 %"),
    (255, "BadRequest", "the chain refused this without saying why"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_has_two_advices() {
        let mut seen: Vec<_> = errors().collect();
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn a_pool_code_of_tomorrow_is_unknown() {
        assert_eq!(pool_code(6).name, "RateLimitExceeded");
        assert_eq!(pool_code(200), PoolCode { code: 200, name: "Unknown", ..pool_code(200) });
    }
}
