//! Calls of the subnet pallet under the chain's indices. Each names its subject's function.

use frame_support::pallet_macros::pallet_section;

/// The calls.
#[pallet_section]
mod calls {
    use super::staking::{Limit, Position};
    use super::swaps::Swap;
    use super::weights::Row;
    use std::collections::BTreeSet;

    /// Weight of a call that costs `fee` rao beside its length: half a billionth of a TAO per
    /// picosecond.
    const fn priced(fee: u64) -> Weight {
        Weight::from_parts(fee.saturating_mul(2_000), 0)
    }

    /// Weight of a call that is free.
    const FREE: (Weight, DispatchClass, Pays) =
        (Weight::from_parts(20_000_000, 0), DispatchClass::Normal, Pays::No);

    /// Calls.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the signer's weights on a subnet.
        #[pallet::call_index(0)]
        #[pallet::weight(FREE)]
        pub fn set_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let row = Row { uids: dests, values: weights, version_key };
            Self::do_set_weights(&hotkey, netuid, MechId(0), row)
        }

        /// Stakes TAO on a hotkey.
        #[pallet::call_index(2)]
        #[pallet::weight(priced(1_532_032))]
        pub fn add_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            amount_staked: TaoBalance,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_add_stake(Position { coldkey, hotkey, netuid }, amount_staked, None)
        }

        /// Sells staked alpha.
        #[pallet::call_index(3)]
        #[pallet::weight(priced(1_284_599))]
        pub fn remove_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            amount_unstaked: AlphaBalance,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_remove_stake(Position { coldkey, hotkey, netuid }, amount_unstaked, None)
        }

        /// Announces the signer's endpoint.
        #[pallet::call_index(4)]
        #[pallet::weight(FREE)]
        #[allow(clippy::too_many_arguments, reason = "the chain's signature")]
        pub fn serve_axon(
            origin: OriginFor<T>,
            netuid: NetUid,
            version: u32,
            ip: u128,
            port: u16,
            ip_type: u8,
            protocol: u8,
            placeholder1: u8,
            placeholder2: u8,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let axon = AxonInfo {
                block: 0,
                version,
                ip,
                port,
                ip_type,
                protocol,
                placeholder1,
                placeholder2,
            };
            Self::do_serve_axon(hotkey, netuid, axon, None)
        }

        /// Announces the signer's metrics endpoint.
        #[pallet::call_index(5)]
        #[pallet::weight(FREE)]
        pub fn serve_prometheus(
            origin: OriginFor<T>,
            netuid: NetUid,
            version: u32,
            ip: u128,
            port: u16,
            ip_type: u8,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let info = PrometheusInfo { block: 0, version, ip, port, ip_type };
            Self::do_serve_prometheus(hotkey, netuid, info)
        }

        /// Registers a hotkey for its price; the proof of work is not looked at.
        #[pallet::call_index(6)]
        #[pallet::weight(priced(2_049_936))]
        pub fn register(
            origin: OriginFor<T>,
            netuid: NetUid,
            _block_number: u64,
            _nonce: u64,
            _work: Vec<u8>,
            hotkey: T::AccountId,
            _coldkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_register(&coldkey, netuid, &hotkey, None)
        }

        /// Registers a hotkey for its price.
        #[pallet::call_index(7)]
        #[pallet::weight(priced(2_043_407))]
        pub fn burned_register(
            origin: OriginFor<T>,
            netuid: NetUid,
            hotkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_register(&coldkey, netuid, &hotkey, None)
        }

        /// Announces the signer's endpoint with a TLS key.
        #[pallet::call_index(40)]
        #[pallet::weight(FREE)]
        #[allow(clippy::too_many_arguments, reason = "the chain's signature")]
        pub fn serve_axon_tls(
            origin: OriginFor<T>,
            netuid: NetUid,
            version: u32,
            ip: u128,
            port: u16,
            ip_type: u8,
            protocol: u8,
            placeholder1: u8,
            placeholder2: u8,
            certificate: Vec<u8>,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let axon = AxonInfo {
                block: 0,
                version,
                ip,
                port,
                ip_type,
                protocol,
                placeholder1,
                placeholder2,
            };
            Self::do_serve_axon(hotkey, netuid, axon, Some(certificate))
        }

        /// Registers a network.
        #[pallet::call_index(59)]
        #[pallet::weight(priced(3_038_562))]
        pub fn register_network(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_register_network(coldkey, hotkey, None)
        }

        /// Gives 1,000 TAO for a proof of work, where the chain was started with a faucet.
        #[pallet::call_index(60)]
        #[pallet::weight(FREE)]
        pub fn faucet(
            origin: OriginFor<T>,
            block_number: u64,
            nonce: u64,
            work: Vec<u8>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_faucet(coldkey, block_number, nonce, &work)
        }

        /// Ends a subnet; root only, whatever the argument says.
        #[pallet::call_index(61)]
        #[pallet::weight(priced(1_684_500))]
        pub fn dissolve_network(
            origin: OriginFor<T>,
            _coldkey: T::AccountId,
            netuid: NetUid,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::dissolve(netuid)
        }

        /// Seats a hotkey on the root network.
        #[pallet::call_index(62)]
        #[pallet::weight(priced(1_089_467))]
        pub fn root_register(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_root_register(&coldkey, &hotkey)
        }

        /// Lowers a hotkey's take.
        #[pallet::call_index(65)]
        #[pallet::weight(FREE)]
        pub fn decrease_take(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            take: PerU16,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_decrease_take(coldkey, hotkey, take)
        }

        /// Raises a hotkey's take.
        #[pallet::call_index(66)]
        #[pallet::weight(FREE)]
        pub fn increase_take(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            take: PerU16,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_increase_take(coldkey, hotkey, take)
        }

        /// Schedules a hotkey's children.
        #[pallet::call_index(67)]
        #[pallet::weight(priced(1_684_460))]
        pub fn set_children(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            children: Vec<(u64, T::AccountId)>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_children(&coldkey, hotkey, netuid, children)
        }

        /// Says who the signer is.
        #[pallet::call_index(68)]
        #[pallet::weight(priced(103_520))]
        #[allow(clippy::too_many_arguments, reason = "the chain's signature")]
        pub fn set_identity(
            origin: OriginFor<T>,
            name: Vec<u8>,
            url: Vec<u8>,
            github_repo: Vec<u8>,
            image: Vec<u8>,
            discord: Vec<u8>,
            description: Vec<u8>,
            additional: Vec<u8>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let identity =
                ChainIdentityV2 { name, url, github_repo, image, discord, description, additional };
            Self::do_set_identity(coldkey, identity)
        }

        /// Sets the blocks between two changes of a childkey's take; root only.
        #[pallet::call_index(69)]
        #[pallet::weight(priced(100_000))]
        pub fn sudo_set_tx_childkey_take_rate_limit(
            origin: OriginFor<T>,
            tx_rate_limit: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            TxChildkeyTakeRateLimit::<T>::put(tx_rate_limit);
            Self::deposit_event(Event::TxChildKeyTakeRateLimitSet(tx_rate_limit));
            Ok(())
        }

        /// Puts another hotkey in a hotkey's place, on one subnet or everywhere, with its stake.
        #[pallet::call_index(70)]
        #[pallet::weight(priced(275_300))]
        pub fn swap_hotkey(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            new_hotkey: T::AccountId,
            netuid: Option<NetUid>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let swap = Swap { coldkey, old: hotkey, new: new_hotkey, keep_stake: false };
            Self::do_swap_hotkey(&swap, netuid)
        }

        /// Puts a coldkey in another's place at a cost; root only.
        #[pallet::call_index(71)]
        #[pallet::weight(priced(275_300))]
        pub fn swap_coldkey(
            origin: OriginFor<T>,
            old_coldkey: T::AccountId,
            new_coldkey: T::AccountId,
            swap_cost: TaoBalance,
        ) -> DispatchResult {
            ensure_root(origin)?;
            Self::pay_for_swap(&old_coldkey, swap_cost)?;
            Self::swap_coldkeys(&old_coldkey, &new_coldkey)?;
            ColdkeySwapAnnouncements::<T>::remove(&old_coldkey);
            Ok(())
        }

        /// As `swap_hotkey`; the stake may stay where it is.
        #[pallet::call_index(72)]
        #[pallet::weight(priced(275_300))]
        pub fn swap_hotkey_v2(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            new_hotkey: T::AccountId,
            netuid: Option<NetUid>,
            keep_stake: bool,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let swap = Swap { coldkey, old: hotkey, new: new_hotkey, keep_stake };
            Self::do_swap_hotkey(&swap, netuid)
        }

        /// Sets what a hotkey keeps of its parents' dividends.
        #[pallet::call_index(75)]
        #[pallet::weight(priced(214_435))]
        pub fn set_childkey_take(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            take: PerU16,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_childkey_take(&coldkey, hotkey, netuid, take)
        }

        /// Sets the lowest take of childkeys; root only.
        #[pallet::call_index(76)]
        #[pallet::weight(priced(100_000))]
        pub fn sudo_set_min_childkey_take(origin: OriginFor<T>, take: PerU16) -> DispatchResult {
            ensure_root(origin)?;
            MinChildkeyTake::<T>::put(take);
            Self::deposit_event(Event::MinChildKeyTakeSet(take));
            Ok(())
        }

        /// Sets the highest take of childkeys; root only.
        #[pallet::call_index(77)]
        #[pallet::weight(priced(100_000))]
        pub fn sudo_set_max_childkey_take(origin: OriginFor<T>, take: PerU16) -> DispatchResult {
            ensure_root(origin)?;
            MaxChildkeyTake::<T>::put(take);
            Self::deposit_event(Event::MaxChildKeyTakeSet(take));
            Ok(())
        }

        /// Says what a subnet is; owner only.
        #[pallet::call_index(78)]
        #[pallet::weight(priced(120_000))]
        #[allow(clippy::too_many_arguments, reason = "the chain's signature")]
        pub fn set_subnet_identity(
            origin: OriginFor<T>,
            netuid: NetUid,
            subnet_name: Vec<u8>,
            github_repo: Vec<u8>,
            subnet_contact: Vec<u8>,
            subnet_url: Vec<u8>,
            discord: Vec<u8>,
            description: Vec<u8>,
            logo_url: Vec<u8>,
            additional: Vec<u8>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let identity = SubnetIdentityV3 {
                subnet_name,
                github_repo,
                subnet_contact,
                subnet_url,
                discord,
                description,
                logo_url,
                additional,
            };
            Self::do_set_subnet_identity(&coldkey, netuid, identity)
        }

        /// Registers a network and says what it is.
        #[pallet::call_index(79)]
        #[pallet::weight(priced(3_038_562))]
        pub fn register_network_with_identity(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            identity: Option<SubnetIdentityV3>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_register_network(coldkey, hotkey, identity)
        }

        /// Sets weights on many subnets; failures are events.
        #[pallet::call_index(80)]
        #[pallet::weight(FREE)]
        pub fn batch_set_weights(
            origin: OriginFor<T>,
            netuids: Vec<Compact<NetUid>>,
            weights: Vec<Vec<(Compact<u16>, Compact<u16>)>>,
            version_keys: Vec<Compact<u64>>,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_batch_set_weights(hotkey, netuids, weights, version_keys)
        }

        /// Sells everything staked on a hotkey.
        #[pallet::call_index(83)]
        #[pallet::weight(priced(88_415))]
        pub fn unstake_all(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_unstake_all(coldkey, hotkey)
        }

        /// Moves everything staked on a hotkey to the root network.
        #[pallet::call_index(84)]
        #[pallet::weight(priced(2_137_936))]
        pub fn unstake_all_alpha(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_unstake_all_alpha(coldkey, hotkey)
        }

        /// Moves stake between hotkeys and subnets.
        #[pallet::call_index(85)]
        #[pallet::weight(priced(695_530))]
        pub fn move_stake(
            origin: OriginFor<T>,
            origin_hotkey: T::AccountId,
            destination_hotkey: T::AccountId,
            origin_netuid: NetUid,
            destination_netuid: NetUid,
            alpha_amount: AlphaBalance,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_move_stake(
                coldkey,
                (origin_hotkey, origin_netuid),
                (destination_hotkey, destination_netuid),
                alpha_amount,
                None,
            )
        }

        /// Gives stake to another coldkey.
        #[pallet::call_index(86)]
        #[pallet::weight(priced(666_770))]
        pub fn transfer_stake(
            origin: OriginFor<T>,
            destination_coldkey: T::AccountId,
            hotkey: T::AccountId,
            origin_netuid: NetUid,
            destination_netuid: NetUid,
            alpha_amount: AlphaBalance,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_transfer_stake(
                coldkey,
                destination_coldkey,
                hotkey,
                (origin_netuid, destination_netuid),
                alpha_amount,
            )
        }

        /// Moves stake between subnets.
        #[pallet::call_index(87)]
        #[pallet::weight(priced(2_158_509))]
        pub fn swap_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            origin_netuid: NetUid,
            destination_netuid: NetUid,
            alpha_amount: AlphaBalance,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_swap_stake(
                coldkey,
                hotkey,
                (origin_netuid, destination_netuid),
                alpha_amount,
                None,
            )
        }

        /// Stakes TAO up to a price.
        #[pallet::call_index(88)]
        #[pallet::weight(priced(1_626_502))]
        pub fn add_stake_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            amount_staked: TaoBalance,
            limit_price: TaoBalance,
            allow_partial: bool,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let limit = Limit { price: limit_price.0, partial: allow_partial };
            Self::do_add_stake(Position { coldkey, hotkey, netuid }, amount_staked, Some(limit))
        }

        /// Sells staked alpha down to a price.
        #[pallet::call_index(89)]
        #[pallet::weight(priced(1_357_848))]
        pub fn remove_stake_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            amount_unstaked: AlphaBalance,
            limit_price: TaoBalance,
            allow_partial: bool,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let limit = Limit { price: limit_price.0, partial: allow_partial };
            Self::do_remove_stake(
                Position { coldkey, hotkey, netuid },
                amount_unstaked,
                Some(limit),
            )
        }

        /// Moves stake between subnets down to a ratio of prices.
        #[pallet::call_index(90)]
        #[pallet::weight(priced(2_259_757))]
        pub fn swap_stake_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            origin_netuid: NetUid,
            destination_netuid: NetUid,
            alpha_amount: AlphaBalance,
            limit_price: TaoBalance,
            allow_partial: bool,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let limit = Limit { price: limit_price.0, partial: allow_partial };
            Self::do_swap_stake(
                coldkey,
                hotkey,
                (origin_netuid, destination_netuid),
                alpha_amount,
                Some(limit),
            )
        }

        /// Makes a new hotkey the signer's.
        #[pallet::call_index(91)]
        #[pallet::weight(priced(100_000))]
        pub fn try_associate_hotkey(origin: OriginFor<T>, hotkey: T::AccountId) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_associate(&coldkey, &hotkey)
        }

        /// Starts a subnet's emission and trading; owner only.
        #[pallet::call_index(92)]
        #[pallet::weight(priced(182_227))]
        pub fn start_call(origin: OriginFor<T>, netuid: NetUid) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_start_call(&coldkey, netuid)
        }

        /// Commits to weights by hash.
        #[pallet::call_index(96)]
        #[pallet::weight(FREE)]
        pub fn commit_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            commit_hash: H256,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_commit_weights(hotkey, netuid, MechId(0), commit_hash)
        }

        /// Reveals committed weights.
        #[pallet::call_index(97)]
        #[pallet::weight(FREE)]
        pub fn reveal_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            uids: Vec<u16>,
            values: Vec<u16>,
            salt: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let row = Row { uids, values, version_key };
            Self::do_reveal_weights(hotkey, netuid, MechId(0), row, &salt)
        }

        /// Reveals many commits of one subnet.
        #[pallet::call_index(98)]
        #[pallet::weight(FREE)]
        pub fn batch_reveal_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            uids_list: Vec<Vec<u16>>,
            values_list: Vec<Vec<u16>>,
            salts_list: Vec<Vec<u16>>,
            version_keys: Vec<u64>,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let rows = Row::zip(uids_list, values_list, version_keys)
                .ok_or(Error::<T>::InputLengthsUnequal)?;
            Self::do_batch_reveal_weights(hotkey, netuid, rows, salts_list)
        }

        /// Commits on many subnets; failures are events.
        #[pallet::call_index(100)]
        #[pallet::weight(FREE)]
        pub fn batch_commit_weights(
            origin: OriginFor<T>,
            netuids: Vec<Compact<NetUid>>,
            commit_hashes: Vec<H256>,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_batch_commit_weights(hotkey, netuids, commit_hashes)
        }

        /// Takes staked alpha out of the issuance.
        #[pallet::call_index(101)]
        #[pallet::weight(priced(548_569))]
        pub fn recycle_alpha(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            amount: AlphaBalance,
            netuid: NetUid,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_recycle_alpha(Position { coldkey, hotkey, netuid }, amount)
        }

        /// Burns staked alpha.
        #[pallet::call_index(102)]
        #[pallet::weight(priced(434_482))]
        pub fn burn_alpha(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            amount: AlphaBalance,
            netuid: NetUid,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_burn_alpha(Position { coldkey, hotkey, netuid }, amount)
        }

        /// Sells a whole position, down to a price.
        #[pallet::call_index(103)]
        #[pallet::weight(priced(1_364_646))]
        pub fn remove_stake_full_limit(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            limit_price: Option<TaoBalance>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let limit = limit_price.map(|price| Limit { price: price.0, partial: false });
            Self::do_remove_stake(
                Position { coldkey, hotkey, netuid },
                AlphaBalance(u64::MAX),
                limit,
            )
        }

        /// Sets how long children wait.
        #[pallet::call_index(109)]
        #[pallet::weight(priced(80_000))]
        pub fn set_pending_childkey_cooldown(
            origin: OriginFor<T>,
            cooldown: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            PendingChildKeyCooldown::<T>::put(cooldown);
            Ok(())
        }

        /// Sets a subnet's symbol.
        #[pallet::call_index(112)]
        #[pallet::weight(priced(120_000))]
        pub fn update_symbol(
            origin: OriginFor<T>,
            netuid: NetUid,
            symbol: Vec<u8>,
        ) -> DispatchResult {
            Self::ensure_owner_or_root(origin, netuid)?;
            Self::do_update_symbol(netuid, symbol)
        }

        /// Commits weights that the chain opens at a round of the beacon.
        #[pallet::call_index(113)]
        #[pallet::weight(FREE)]
        pub fn commit_timelocked_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            commit: TimelockedCommit,
            reveal_round: u64,
            commit_reveal_version: u16,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let version = commit_reveal_version;
            Self::do_commit_timelocked(hotkey, netuid, MechId(0), commit, reveal_round, version)
        }

        /// Sends the signer's incentive to a hotkey.
        #[pallet::call_index(114)]
        #[pallet::weight(priced(120_000))]
        pub fn set_coldkey_auto_stake_hotkey(
            origin: OriginFor<T>,
            netuid: NetUid,
            hotkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_auto_stake(coldkey, netuid, hotkey)
        }

        /// Commits to a mechanism's weights by hash.
        #[pallet::call_index(115)]
        #[pallet::weight(FREE)]
        pub fn commit_mechanism_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            mecid: MechId,
            commit_hash: H256,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_commit_weights(hotkey, netuid, mecid, commit_hash)
        }

        /// Reveals a mechanism's committed weights.
        #[pallet::call_index(116)]
        #[pallet::weight(FREE)]
        pub fn reveal_mechanism_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            mecid: MechId,
            uids: Vec<u16>,
            values: Vec<u16>,
            salt: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let row = Row { uids, values, version_key };
            Self::do_reveal_weights(hotkey, netuid, mecid, row, &salt)
        }

        /// Commits a mechanism's weights that the chain opens at a round of the beacon.
        #[pallet::call_index(118)]
        #[pallet::weight(FREE)]
        pub fn commit_timelocked_mechanism_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            mecid: MechId,
            commit: TimelockedCommit,
            reveal_round: u64,
            commit_reveal_version: u16,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let version = commit_reveal_version;
            Self::do_commit_timelocked(hotkey, netuid, mecid, commit, reveal_round, version)
        }

        /// Sets the signer's weights in a mechanism.
        #[pallet::call_index(119)]
        #[pallet::weight(FREE)]
        pub fn set_mechanism_weights(
            origin: OriginFor<T>,
            netuid: NetUid,
            mecid: MechId,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let row = Row { uids: dests, values: weights, version_key };
            Self::do_set_weights(&hotkey, netuid, mecid, row)
        }

        /// `set_mechanism_weights` under the index to which an upgrade moves it; hidden until then.
        #[pallet::call_index(219)]
        #[pallet::weight(FREE)]
        pub fn set_mechanism_weights_moved(
            origin: OriginFor<T>,
            netuid: NetUid,
            mecid: MechId,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            Self::set_mechanism_weights(origin, netuid, mecid, dests, weights, version_key)
        }

        /// Ends a subnet.
        #[pallet::call_index(120)]
        #[pallet::weight(priced(1_684_500))]
        pub fn root_dissolve_network(origin: OriginFor<T>, netuid: NetUid) -> DispatchResult {
            ensure_root(origin)?;
            Self::dissolve(netuid)
        }

        /// Claims the signer's root dividends.
        #[pallet::call_index(121)]
        #[pallet::weight(priced(417_500))]
        pub fn claim_root(origin: OriginFor<T>, subnets: BTreeSet<NetUid>) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let netuids: Vec<_> = subnets.into_iter().collect();
            Self::do_claim_root(&coldkey, Some(&netuids));
            Ok(())
        }

        /// Announces the hash of the coldkey that will take the signer's place.
        #[pallet::call_index(125)]
        #[pallet::weight(priced(100_000))]
        pub fn announce_coldkey_swap(
            origin: OriginFor<T>,
            new_coldkey_hash: T::Hash,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_announce_coldkey_swap(coldkey, new_coldkey_hash)
        }

        /// Puts the announced coldkey in the signer's place.
        #[pallet::call_index(126)]
        #[pallet::weight(priced(275_300))]
        pub fn swap_coldkey_announced(
            origin: OriginFor<T>,
            new_coldkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_swap_coldkey_announced(coldkey, new_coldkey)
        }

        /// Holds the signer's announced swap until root decides.
        #[pallet::call_index(127)]
        #[pallet::weight(priced(100_000))]
        pub fn dispute_coldkey_swap(origin: OriginFor<T>) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_dispute_coldkey_swap(coldkey)
        }

        /// Withdraws a coldkey's announcement and its dispute; root only.
        #[pallet::call_index(128)]
        #[pallet::weight(priced(100_000))]
        pub fn reset_coldkey_swap(origin: OriginFor<T>, coldkey: T::AccountId) -> DispatchResult {
            ensure_root(origin)?;
            ColdkeySwapAnnouncements::<T>::remove(&coldkey);
            ColdkeySwapDisputes::<T>::remove(&coldkey);
            Self::deposit_event(Event::ColdkeySwapReset { who: coldkey });
            Ok(())
        }

        /// Buys alpha and burns it.
        #[pallet::call_index(132)]
        #[pallet::weight(priced(1_746_154))]
        pub fn add_stake_burn(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: NetUid,
            amount: TaoBalance,
            limit: Option<TaoBalance>,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_add_stake_burn(Position { coldkey, hotkey, netuid }, amount, limit)
        }

        /// Withdraws the signer's announcement.
        #[pallet::call_index(133)]
        #[pallet::weight(priced(100_000))]
        pub fn clear_coldkey_swap_announcement(origin: OriginFor<T>) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_clear_coldkey_swap(coldkey)
        }

        /// Registers a hotkey for at most a price.
        #[pallet::call_index(134)]
        #[pallet::weight(priced(2_764_600))]
        pub fn register_limit(
            origin: OriginFor<T>,
            netuid: NetUid,
            hotkey: T::AccountId,
            limit_price: u64,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_register(&coldkey, netuid, &hotkey, Some(limit_price))
        }

        /// Sets whether a root hotkey becomes a parent of new owners.
        #[pallet::call_index(135)]
        #[pallet::weight(priced(80_000))]
        pub fn set_auto_parent_delegation_enabled(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            enabled: bool,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_auto_parent(&coldkey, hotkey, enabled)
        }

        /// Sets a subnet's tempo; owner only.
        #[pallet::call_index(139)]
        #[pallet::weight(priced(120_000))]
        pub fn set_tempo(origin: OriginFor<T>, netuid: NetUid, tempo: u16) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_tempo(coldkey, netuid, tempo)
        }

        /// Sets a subnet's activity cutoff; owner only.
        #[pallet::call_index(140)]
        #[pallet::weight(priced(120_000))]
        pub fn set_activity_cutoff_factor(
            origin: OriginFor<T>,
            netuid: NetUid,
            factor_milli: u32,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_cutoff_factor(coldkey, netuid, factor_milli)
        }

        /// Brings a subnet's next epoch forward; owner only.
        #[pallet::call_index(141)]
        #[pallet::weight(priced(221_269))]
        pub fn trigger_epoch(origin: OriginFor<T>, netuid: NetUid) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            ensure!(Self::is_owner(netuid, &coldkey), DispatchError::BadOrigin);
            Self::do_trigger_epoch(coldkey, netuid)
        }

        /// Moves stake between hotkeys and subnets down to a ratio of prices.
        #[pallet::call_index(149)]
        #[pallet::weight(priced(796_000))]
        #[allow(clippy::too_many_arguments, reason = "the chain's signature")]
        pub fn move_stake_limit(
            origin: OriginFor<T>,
            origin_hotkey: T::AccountId,
            destination_hotkey: T::AccountId,
            origin_netuid: NetUid,
            destination_netuid: NetUid,
            alpha_amount: AlphaBalance,
            limit_price: TaoBalance,
            allow_partial: bool,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            let limit = Limit { price: limit_price.0, partial: allow_partial };
            Self::do_move_stake(
                coldkey,
                (origin_hotkey, origin_netuid),
                (destination_hotkey, destination_netuid),
                alpha_amount,
                Some(limit),
            )
        }
    }
}
