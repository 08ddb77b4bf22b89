//! The admin calls under the chain's indices: who may, within which bounds, and what is written.

use frame_support::pallet_macros::pallet_section;

/// The calls.
#[pallet_section]
mod calls {
    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the highest take.
        #[pallet::call_index(1)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_default_take(origin: OriginFor<T>, default_take: PerU16) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::MaxDelegateTake::<T>::put(default_take);
            Self::announce(SubtensorEvent::MaxDelegateTakeSet(default_take));
            Ok(())
        }

        /// Sets the blocks between two calls of one key.
        #[pallet::call_index(2)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_tx_rate_limit(origin: OriginFor<T>, tx_rate_limit: u64) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::TxRateLimit::<T>::put(tx_rate_limit);
            Self::announce(SubtensorEvent::TxRateLimitSet(tx_rate_limit));
            Ok(())
        }

        /// Sets the blocks between announcements.
        #[pallet::call_index(3)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_serving_rate_limit(
            origin: OriginFor<T>,
            netuid: NetUid,
            serving_rate_limit: u64,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::ServingRateLimit)?;
            Subtensor::<T>::set_serving_rate_limit(netuid, serving_rate_limit);
            Self::changed(who, netuid, H::ServingRateLimit);
            Ok(())
        }

        /// Sets the lowest difficulty.
        #[pallet::call_index(4)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_difficulty(
            origin: OriginFor<T>,
            netuid: NetUid,
            min_difficulty: u64,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_min_difficulty(netuid, min_difficulty);
            Ok(())
        }

        /// Sets the highest difficulty.
        #[pallet::call_index(5)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_difficulty(
            origin: OriginFor<T>,
            netuid: NetUid,
            max_difficulty: u64,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::MaxDifficulty)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_max_difficulty(netuid, max_difficulty);
            Self::changed(who, netuid, H::MaxDifficulty);
            Ok(())
        }

        /// Sets the lowest version key of weights.
        #[pallet::call_index(6)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_weights_version_key(
            origin: OriginFor<T>,
            netuid: NetUid,
            weights_version_key: u64,
        ) -> DispatchResult {
            let who = Self::owner_or_root_limited(origin, netuid, Limited::SetWeightsVersionKey)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_weights_version_key(netuid, weights_version_key);
            Self::used(who, netuid, Limited::SetWeightsVersionKey);
            Ok(())
        }

        /// Sets the blocks between two rows of one neuron.
        #[pallet::call_index(7)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_weights_set_rate_limit(
            origin: OriginFor<T>,
            netuid: NetUid,
            weights_set_rate_limit: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_weights_rate_limit(netuid, weights_set_rate_limit);
            Ok(())
        }

        /// Sets the interval of price adjustment.
        #[pallet::call_index(8)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_adjustment_interval(
            origin: OriginFor<T>,
            netuid: NetUid,
            adjustment_interval: u16,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_adjustment_interval(netuid, adjustment_interval);
            Ok(())
        }

        /// Sets the weight of the old price.
        #[pallet::call_index(9)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_adjustment_alpha(
            origin: OriginFor<T>,
            netuid: NetUid,
            adjustment_alpha: u64,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::AdjustmentAlpha)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_adjustment_alpha(netuid, adjustment_alpha);
            Self::changed(who, netuid, H::AdjustmentAlpha);
            Ok(())
        }

        /// Sets the immunity of new neurons.
        #[pallet::call_index(13)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_immunity_period(
            origin: OriginFor<T>,
            netuid: NetUid,
            immunity_period: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::ImmunityPeriod)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_immunity_period(netuid, immunity_period);
            Self::changed(who, netuid, H::ImmunityPeriod);
            Ok(())
        }

        /// Sets the fewest weights of a row.
        #[pallet::call_index(14)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_allowed_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            min_allowed_weights: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::MinAllowedWeights)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_min_allowed_weights(netuid, min_allowed_weights);
            Self::changed(who, netuid, H::MinAllowedWeights);
            Ok(())
        }

        /// Sets the most neurons.
        #[pallet::call_index(15)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_allowed_uids(
            origin: OriginFor<T>,
            netuid: NetUid,
            max_allowed_uids: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::MaxAllowedUids)?;
            Self::ensure_exists(netuid)?;
            Self::check_max_uids(netuid, max_allowed_uids)?;
            Subtensor::<T>::set_max_allowed_uids(netuid, max_allowed_uids);
            Self::changed(who, netuid, H::MaxAllowedUids);
            Ok(())
        }

        /// Sets kappa.
        #[pallet::call_index(16)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_kappa(origin: OriginFor<T>, netuid: NetUid, kappa: u16) -> DispatchResult {
            ensure_root(origin)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_kappa(netuid, kappa);
            Ok(())
        }

        /// Sets rho.
        #[pallet::call_index(17)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_rho(origin: OriginFor<T>, netuid: NetUid, rho: u16) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::Rho)?;
            Self::ensure_exists(netuid)?;
            // The chain emits no event for this one.
            subtensor::Rho::<T>::insert(netuid, rho);
            Self::changed(who, netuid, H::Rho);
            Ok(())
        }

        /// Sets the historical activity cutoff.
        #[pallet::call_index(18)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_activity_cutoff(
            origin: OriginFor<T>,
            netuid: NetUid,
            activity_cutoff: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::ActivityCutoff)?;
            Self::ensure_exists(netuid)?;
            ensure!(
                activity_cutoff >= MIN_ACTIVITY_CUTOFF,
                subtensor::Error::<T>::ActivityCutoffTooLow
            );
            Subtensor::<T>::set_activity_cutoff(netuid, activity_cutoff);
            Self::changed(who, netuid, H::ActivityCutoff);
            Ok(())
        }

        /// Sets whether neurons may register.
        #[pallet::call_index(19)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_network_registration_allowed(
            origin: OriginFor<T>,
            netuid: NetUid,
            registration_allowed: bool,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Subtensor::<T>::set_registration_allowed(netuid, registration_allowed);
            Ok(())
        }

        /// Refused: there is no registration by work.
        #[pallet::call_index(20)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_network_pow_registration_allowed(
            origin: OriginFor<T>,
            _netuid: NetUid,
            _registration_allowed: bool,
        ) -> DispatchResult {
            ensure_signed_or_root(origin)?;
            Err(Error::<T>::POWRegistrationDisabled.into())
        }

        /// Sets the target of registrations.
        #[pallet::call_index(21)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_target_registrations_per_interval(
            origin: OriginFor<T>,
            netuid: NetUid,
            target_registrations_per_interval: u16,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_target_registrations(netuid, target_registrations_per_interval);
            Ok(())
        }

        /// Sets the lowest price of a neuron.
        #[pallet::call_index(22)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_burn(
            origin: OriginFor<T>,
            netuid: NetUid,
            min_burn: TaoBalance,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::MinBurn)?;
            Self::ensure_exists(netuid)?;
            ensure!(min_burn < T::MinBurnUpperBound::get(), Error::<T>::ValueNotInBounds);
            ensure!(min_burn <= subtensor::MaxBurn::<T>::get(netuid), Error::<T>::ValueNotInBounds);
            Subtensor::<T>::set_min_burn(netuid, min_burn);
            Self::changed(who, netuid, H::MinBurn);
            Ok(())
        }

        /// Sets the highest price of a neuron.
        #[pallet::call_index(23)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_burn(
            origin: OriginFor<T>,
            netuid: NetUid,
            max_burn: TaoBalance,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::MaxBurn)?;
            Self::ensure_exists(netuid)?;
            ensure!(max_burn > T::MaxBurnLowerBound::get(), Error::<T>::ValueNotInBounds);
            ensure!(max_burn >= subtensor::MinBurn::<T>::get(netuid), Error::<T>::ValueNotInBounds);
            Subtensor::<T>::set_max_burn(netuid, max_burn);
            Self::changed(who, netuid, H::MaxBurn);
            Ok(())
        }

        /// Sets the difficulty.
        #[pallet::call_index(24)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_difficulty(
            origin: OriginFor<T>,
            netuid: NetUid,
            difficulty: u64,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_difficulty(netuid, difficulty);
            Ok(())
        }

        /// Sets the most validators.
        #[pallet::call_index(25)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_allowed_validators(
            origin: OriginFor<T>,
            netuid: NetUid,
            max_allowed_validators: u16,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            Self::ensure_exists(netuid)?;
            ensure!(
                max_allowed_validators <= subtensor::MaxAllowedUids::<T>::get(netuid),
                Error::<T>::MaxValidatorsLargerThanMaxUIds
            );
            Subtensor::<T>::set_max_allowed_validators(netuid, max_allowed_validators);
            Ok(())
        }

        /// Sets the share of a bond that stays.
        #[pallet::call_index(26)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_bonds_moving_average(
            origin: OriginFor<T>,
            netuid: NetUid,
            bonds_moving_average: u64,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::BondsMovingAverage)?;
            ensure!(
                who.is_none() || bonds_moving_average <= OWNER_MAX_BONDS_AVERAGE,
                Error::<T>::BondsMovingAverageMaxReached
            );
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_bonds_moving_average(netuid, bonds_moving_average);
            Self::changed(who, netuid, H::BondsMovingAverage);
            Ok(())
        }

        /// Sets the most registrations in a block.
        #[pallet::call_index(27)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_registrations_per_block(
            origin: OriginFor<T>,
            netuid: NetUid,
            max_registrations_per_block: u16,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_max_registrations(netuid, max_registrations_per_block);
            Ok(())
        }

        /// Sets the owners' part of the alpha.
        #[pallet::call_index(28)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_subnet_owner_cut(
            origin: OriginFor<T>,
            subnet_owner_cut: u16,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::SubnetOwnerCut::<T>::put(subnet_owner_cut);
            Self::announce(SubtensorEvent::SubnetOwnerCutSet(subnet_owner_cut));
            Ok(())
        }

        /// Sets the blocks between network registrations.
        #[pallet::call_index(29)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_network_rate_limit(
            origin: OriginFor<T>,
            rate_limit: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::NetworkRateLimit::<T>::put(rate_limit);
            Self::announce(SubtensorEvent::NetworkRateLimitSet(rate_limit));
            Ok(())
        }

        /// Sets the tempo and starts its cycle.
        #[pallet::call_index(30)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_tempo(origin: OriginFor<T>, netuid: NetUid, tempo: u16) -> DispatchResult {
            let who = Self::tempo_setter(origin, netuid, tempo)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::apply_tempo(netuid, tempo);
            Self::used(who, netuid, Limited::SetTempo);
            Ok(())
        }

        /// Sets the total issuance, by which halvings are reckoned.
        #[pallet::call_index(33)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_total_issuance(
            origin: OriginFor<T>,
            total_issuance: TaoBalance,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::TotalIssuance::<T>::put(total_issuance);
            Ok(())
        }

        /// Sets the immunity of new networks.
        #[pallet::call_index(35)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_network_immunity_period(
            origin: OriginFor<T>,
            immunity_period: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::NetworkImmunityPeriod::<T>::put(immunity_period);
            Self::announce(SubtensorEvent::NetworkImmunityPeriodSet(immunity_period));
            Ok(())
        }

        /// Sets the lowest cost of a network.
        #[pallet::call_index(36)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_network_min_lock_cost(
            origin: OriginFor<T>,
            lock_cost: TaoBalance,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::NetworkMinLockCost::<T>::put(lock_cost);
            Self::announce(SubtensorEvent::NetworkMinLockCostSet(lock_cost));
            Ok(())
        }

        /// Sets how many networks may exist.
        #[pallet::call_index(37)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_subnet_limit(origin: OriginFor<T>, max_subnets: u16) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::SubnetLimit::<T>::put(max_subnets);
            Self::announce(SubtensorEvent::SubnetLimitSet(max_subnets));
            Ok(())
        }

        /// Sets the blocks over which the cost of a network falls.
        #[pallet::call_index(38)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_lock_reduction_interval(
            origin: OriginFor<T>,
            interval: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::NetworkLockReductionInterval::<T>::put(interval);
            Self::announce(SubtensorEvent::NetworkLockCostReductionIntervalSet(interval));
            Ok(())
        }

        /// Sets the TAO spent on registrations.
        #[pallet::call_index(39)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_rao_recycled(
            origin: OriginFor<T>,
            netuid: NetUid,
            rao_recycled: TaoBalance,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_rao_recycled(netuid, rao_recycled);
            Ok(())
        }

        /// Sets the stake that setting weights needs.
        #[pallet::call_index(42)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_stake_threshold(origin: OriginFor<T>, min_stake: u64) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::StakeThreshold::<T>::put(min_stake);
            Self::announce(SubtensorEvent::StakeThresholdSet(min_stake));
            Ok(())
        }

        /// Sets the least stake of a nominator.
        #[pallet::call_index(43)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_nominator_min_required_stake(
            origin: OriginFor<T>,
            min_stake: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::NominatorMinRequiredStake::<T>::put(min_stake);
            Ok(())
        }

        /// Sets the blocks between take increases.
        #[pallet::call_index(45)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_tx_delegate_take_rate_limit(
            origin: OriginFor<T>,
            tx_rate_limit: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::TxDelegateTakeRateLimit::<T>::put(tx_rate_limit);
            Self::announce(SubtensorEvent::TxDelegateTakeRateLimitSet(tx_rate_limit));
            Ok(())
        }

        /// Sets the lowest take.
        #[pallet::call_index(46)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_delegate_take(origin: OriginFor<T>, take: PerU16) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::MinDelegateTake::<T>::put(take);
            Self::announce(SubtensorEvent::MinDelegateTakeSet(take));
            Ok(())
        }

        /// Sets whether weights are committed first.
        #[pallet::call_index(49)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_commit_reveal_weights_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::CommitRevealEnabled)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_commit_reveal(netuid, enabled);
            Self::changed(who, netuid, H::CommitRevealEnabled);
            Ok(())
        }

        /// Sets whether bonds move at a rate of their own.
        #[pallet::call_index(50)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_liquid_alpha_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::LiquidAlphaEnabled)?;
            subtensor::LiquidAlphaOn::<T>::insert(netuid, enabled);
            Self::changed(who, netuid, H::LiquidAlphaEnabled);
            Ok(())
        }

        /// Sets the bounds of liquid alpha.
        #[pallet::call_index(51)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_alpha_values(
            origin: OriginFor<T>,
            netuid: NetUid,
            alpha_low: u16,
            alpha_high: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::AlphaValues)?;
            Self::set_alpha_values(netuid, alpha_low, alpha_high)?;
            Self::changed(who, netuid, H::AlphaValues);
            Ok(())
        }

        /// Sets the epochs between commit and reveal.
        #[pallet::call_index(57)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_commit_reveal_weights_interval(
            origin: OriginFor<T>,
            netuid: NetUid,
            interval: u64,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::WeightCommitInterval)?;
            Self::ensure_exists(netuid)?;
            ensure!(interval >= 1, subtensor::Error::<T>::RevealPeriodTooSmall);
            ensure!(interval <= MAX_REVEAL_PERIOD, subtensor::Error::<T>::RevealPeriodTooLarge);
            Subtensor::<T>::set_reveal_period(netuid, interval);
            Self::changed(who, netuid, H::WeightCommitInterval);
            Ok(())
        }

        /// Sets how strongly bonds follow clipped weights.
        #[pallet::call_index(60)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_bonds_penalty(
            origin: OriginFor<T>,
            netuid: NetUid,
            bonds_penalty: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::BondsPenalty)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_bonds_penalty(netuid, bonds_penalty);
            Self::changed(who, netuid, H::BondsPenalty);
            Ok(())
        }

        /// Sets whether stake may change hands.
        #[pallet::call_index(61)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_toggle_transfer(
            origin: OriginFor<T>,
            netuid: NetUid,
            toggle: bool,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::TransferEnabled)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_transfer_toggle(netuid, toggle);
            Self::changed(who, netuid, H::TransferEnabled);
            Ok(())
        }

        /// Sets the weight of the newest price.
        #[pallet::call_index(63)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_subnet_moving_alpha(origin: OriginFor<T>, alpha: I96F32) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::SubnetMovingAlpha::<T>::put(alpha);
            Ok(())
        }

        /// Sets the blocks after which the newest price counts half.
        #[pallet::call_index(65)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_ema_price_halving_period(
            origin: OriginFor<T>,
            netuid: NetUid,
            ema_halving: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::EMAPriceHalvingBlocks::<T>::insert(netuid, ema_halving);
            Ok(())
        }

        /// Sets whether alpha is traded.
        #[pallet::call_index(66)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_subtoken_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            subtoken_enabled: bool,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            subtensor::SubtokenEnabled::<T>::insert(netuid, subtoken_enabled);
            Ok(())
        }

        /// Sets the owner's hotkey.
        #[pallet::call_index(67)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_sn_owner_hotkey(
            origin: OriginFor<T>,
            netuid: NetUid,
            hotkey: T::AccountId,
        ) -> DispatchResult {
            Self::set_owner_hotkey(origin, netuid, hotkey)
        }

        /// Sets the steepness of the liquid alpha sigmoid.
        #[pallet::call_index(68)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_alpha_sigmoid_steepness(
            origin: OriginFor<T>,
            netuid: NetUid,
            steepness: i16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::AlphaSigmoidSteepness)?;
            Self::ensure_exists(netuid)?;
            ensure!(who.is_none() || steepness >= 0, Error::<T>::NegativeSigmoidSteepness);
            // The chain emits no event for this one.
            subtensor::AlphaSigmoidSteepness::<T>::insert(netuid, steepness);
            Self::changed(who, netuid, H::AlphaSigmoidSteepness);
            Ok(())
        }

        /// Sets whether bonds follow Yuma 3.
        #[pallet::call_index(69)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_yuma3_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::Yuma3Enabled)?;
            subtensor::Yuma3On::<T>::insert(netuid, enabled);
            Self::deposit_event(Event::Yuma3EnableToggled { netuid, enabled });
            Self::changed(who, netuid, H::Yuma3Enabled);
            Ok(())
        }

        /// Sets whether a commitment may reset bonds.
        #[pallet::call_index(70)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_bonds_reset_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::BondsResetEnabled)?;
            Subtensor::<T>::set_bonds_reset(netuid, enabled);
            Self::deposit_event(Event::BondsResetToggled { netuid, enabled });
            Self::changed(who, netuid, H::BondsResetEnabled);
            Ok(())
        }

        /// Sets the version of timelocked commits.
        #[pallet::call_index(71)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_commit_reveal_version(
            origin: OriginFor<T>,
            version: u16,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::CommitRevealWeightsVersion::<T>::put(version);
            Self::announce(SubtensorEvent::CommitRevealVersionSet(version));
            Ok(())
        }

        /// Sets how many of the owner's neurons are never pruned.
        #[pallet::call_index(72)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_owner_immune_neuron_limit(
            origin: OriginFor<T>,
            netuid: NetUid,
            immune_neurons: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::ImmuneNeuronLimit)?;
            ensure!(
                (1..=MAX_IMMUNE_OWNER_NEURONS).contains(&immune_neurons),
                subtensor::Error::<T>::InvalidValue
            );
            subtensor::ImmuneOwnerUidsLimit::<T>::insert(netuid, immune_neurons);
            Self::changed(who, netuid, H::ImmuneNeuronLimit);
            Ok(())
        }

        /// Sets the part of parents' dividends that is recycled.
        #[pallet::call_index(73)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_ck_burn(origin: OriginFor<T>, burn: u64) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::CKBurn::<T>::put(burn);
            Ok(())
        }

        /// Sets the blocks before an epoch in which hyperparameters are frozen.
        #[pallet::call_index(74)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_admin_freeze_window(origin: OriginFor<T>, window: u16) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::AdminFreezeWindow::<T>::put(window);
            Self::announce(SubtensorEvent::AdminFreezeWindowSet(window));
            Ok(())
        }

        /// Sets the epochs between an owner's changes of one hyperparameter.
        #[pallet::call_index(75)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_owner_hparam_rate_limit(
            origin: OriginFor<T>,
            epochs: u16,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::OwnerHyperparamRateLimit::<T>::put(epochs);
            Self::announce(SubtensorEvent::OwnerHyperparamRateLimitSet(epochs));
            Ok(())
        }

        /// Sets how many mechanisms a subnet has.
        #[pallet::call_index(76)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_mechanism_count(
            origin: OriginFor<T>,
            netuid: NetUid,
            mechanism_count: MechId,
        ) -> DispatchResult {
            let who = Self::owner_or_root_limited(origin, netuid, Limited::MechanismCount)?;
            Subtensor::<T>::set_mechanism_count(netuid, mechanism_count)?;
            Self::used(who, netuid, Limited::MechanismCount);
            Ok(())
        }

        /// Sets the emission of each mechanism.
        #[pallet::call_index(77)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_mechanism_emission_split(
            origin: OriginFor<T>,
            netuid: NetUid,
            maybe_split: Option<Vec<u16>>,
        ) -> DispatchResult {
            let who = Self::owner_or_root_limited(origin, netuid, Limited::MechanismSplit)?;
            Subtensor::<T>::set_mechanism_split(netuid, maybe_split)?;
            Self::used(who, netuid, Limited::MechanismSplit);
            Ok(())
        }

        /// Removes all but the best neurons.
        #[pallet::call_index(78)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_trim_to_max_allowed_uids(
            origin: OriginFor<T>,
            netuid: NetUid,
            max_n: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root_limited(origin, netuid, Limited::TrimUids)?;
            Subtensor::<T>::trim_neurons(netuid, max_n)?;
            Self::used(who, netuid, Limited::TrimUids);
            Ok(())
        }

        /// Sets the lower bound of the most neurons.
        #[pallet::call_index(79)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_allowed_uids(
            origin: OriginFor<T>,
            netuid: NetUid,
            min_allowed_uids: u16,
        ) -> DispatchResult {
            Self::root_outside_window(origin, netuid)?;
            Self::ensure_exists(netuid)?;
            ensure!(
                min_allowed_uids < subtensor::MaxAllowedUids::<T>::get(netuid),
                Error::<T>::MinAllowedUidsGreaterThanMaxAllowedUids
            );
            ensure!(
                min_allowed_uids < subtensor::SubnetworkN::<T>::get(netuid),
                Error::<T>::MinAllowedUidsGreaterThanCurrentUids
            );
            Subtensor::<T>::set_min_allowed_uids(netuid, min_allowed_uids);
            Ok(())
        }

        /// Sets what happens to the owner's incentive.
        #[pallet::call_index(80)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_recycle_or_burn(
            origin: OriginFor<T>,
            netuid: NetUid,
            recycle_or_burn: RecycleOrBurnEnum,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::RecycleOrBurn)?;
            subtensor::RecycleOrBurn::<T>::insert(netuid, recycle_or_burn);
            Self::changed(who, netuid, H::RecycleOrBurn);
            Ok(())
        }

        /// Sets how many neurons always remain prunable.
        #[pallet::call_index(84)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_non_immune_uids(
            origin: OriginFor<T>,
            netuid: NetUid,
            min: u16,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Subtensor::<T>::set_min_non_immune_uids(netuid, min);
            Ok(())
        }

        /// Sets the blocks before a start call.
        #[pallet::call_index(85)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_start_call_delay(origin: OriginFor<T>, delay: u64) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::StartCallDelay::<T>::put(delay);
            Self::announce(SubtensorEvent::StartCallDelaySet(delay));
            Ok(())
        }

        /// Sets the most mechanisms of a subnet.
        #[pallet::call_index(88)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_mechanism_count(
            origin: OriginFor<T>,
            max_mechanism_count: MechId,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::MaxMechanismCount::<T>::put(max_mechanism_count);
            Ok(())
        }

        /// Sets the blocks in which the price of a neuron halves.
        #[pallet::call_index(89)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_burn_half_life(
            origin: OriginFor<T>,
            netuid: NetUid,
            burn_half_life: u16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::BurnHalfLife)?;
            Self::ensure_exists(netuid)?;
            ensure!((1..=MAX_BURN_HALF_LIFE).contains(&burn_half_life), Error::<T>::InvalidValue);
            subtensor::BurnHalfLife::<T>::insert(netuid, burn_half_life);
            Self::deposit_event(Event::BurnHalfLifeSet { netuid, burn_half_life });
            Self::changed(who, netuid, H::BurnHalfLife);
            Ok(())
        }

        /// Sets the factor of the price at each registration.
        #[pallet::call_index(90)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_burn_increase_mult(
            origin: OriginFor<T>,
            netuid: NetUid,
            burn_increase_mult: U64F64,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::BurnIncreaseMult)?;
            Self::ensure_exists(netuid)?;
            let bounds = U64F64::from_num(1)..=U64F64::from_num(MAX_BURN_INCREASE);
            ensure!(bounds.contains(&burn_increase_mult), Error::<T>::InvalidValue);
            subtensor::BurnIncreaseMult::<T>::insert(netuid, burn_increase_mult);
            Self::deposit_event(Event::BurnIncreaseMultSet { netuid, burn_increase_mult });
            Self::changed(who, netuid, H::BurnIncreaseMult);
            Ok(())
        }

        /// Sets whether the owner takes its part.
        #[pallet::call_index(92)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_owner_cut_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            Self::owner_or_root_outside_window(origin, netuid)?;
            subtensor::OwnerCutEnabled::<T>::insert(netuid, enabled);
            Ok(())
        }

        /// Sets the lowest childkey take of a subnet.
        #[pallet::call_index(93)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_min_childkey_take_per_subnet(
            origin: OriginFor<T>,
            netuid: NetUid,
            take: PerU16,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::MinChildkeyTake)?;
            ensure!(
                take <= subtensor::MaxChildkeyTake::<T>::get(),
                subtensor::Error::<T>::InvalidChildkeyTake
            );
            Subtensor::<T>::set_min_childkey_take_on(netuid, take);
            Self::changed(who, netuid, H::MinChildkeyTake);
            Ok(())
        }

        /// Sets whether a subnet receives TAO.
        #[pallet::call_index(94)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_subnet_emission_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::ensure_exists(netuid)?;
            subtensor::SubnetEmissionEnabled::<T>::insert(netuid, enabled);
            Self::deposit_event(Event::SubnetEmissionEnabledSet { netuid, enabled });
            Ok(())
        }

        /// Sets whether the owner's part is locked.
        #[pallet::call_index(95)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_owner_cut_auto_lock_enabled(
            origin: OriginFor<T>,
            netuid: NetUid,
            enabled: bool,
        ) -> DispatchResult {
            Self::owner_or_root_outside_window(origin, netuid)?;
            subtensor::OwnerCutAutoLockEnabled::<T>::insert(netuid, enabled);
            Ok(())
        }

        /// Sets the epochs that one block may run.
        #[pallet::call_index(96)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_max_epochs_per_block(
            origin: OriginFor<T>,
            max_epochs_per_block: u8,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::MaxEpochsPerBlock::<T>::put(max_epochs_per_block);
            Self::announce(SubtensorEvent::MaxEpochsPerBlockSet(max_epochs_per_block));
            Ok(())
        }

        /// Sets the activity cutoff in thousandths of a tempo.
        #[pallet::call_index(97)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_activity_cutoff_factor(
            origin: OriginFor<T>,
            netuid: NetUid,
            factor_milli: u32,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::ActivityCutoffFactorMilli)?;
            Self::ensure_exists(netuid)?;
            Subtensor::<T>::set_cutoff_factor(netuid, factor_milli)?;
            Self::changed(who, netuid, H::ActivityCutoffFactorMilli);
            Ok(())
        }

        /// Sets the share of emission that defines the bar of the gate.
        #[pallet::call_index(100)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_emission_bar_quantile(
            origin: OriginFor<T>,
            quantile: U64F64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::EmissionBarQuantile::<T>::put(quantile);
            Ok(())
        }

        /// Sets the exponent of the emission gate.
        #[pallet::call_index(101)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_emission_gate_exponent(
            origin: OriginFor<T>,
            exponent: U64F64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::EmissionGateExponent::<T>::put(exponent);
            Ok(())
        }

        /// Sets the rank whose share is the bar of the gate.
        #[pallet::call_index(102)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_emission_bar_rank(origin: OriginFor<T>, rank: u16) -> DispatchResult {
            ensure_root(origin)?;
            subtensor::EmissionBarRank::<T>::put(rank);
            Ok(())
        }

        /// Sets which consensus liquid alpha reads.
        #[pallet::call_index(104)]
        #[pallet::weight(ADMIN_WEIGHT)]
        pub fn sudo_set_liquid_alpha_consensus_mode(
            origin: OriginFor<T>,
            netuid: NetUid,
            mode: ConsensusMode,
        ) -> DispatchResult {
            let who = Self::owner_or_root(origin, netuid, H::LiquidAlphaConsensusMode)?;
            Self::ensure_exists(netuid)?;
            subtensor::LiquidAlphaConsensusMode::<T>::insert(netuid, mode);
            Self::announce(SubtensorEvent::LiquidAlphaConsensusModeSet(netuid, mode));
            Self::changed(who, netuid, H::LiquidAlphaConsensusMode);
            Ok(())
        }
    }
}
