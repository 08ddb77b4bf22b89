//! The journal's rows as a chain: each writing of a submission adds a link over the one before, and
//! the tip is kept apart. A row that is lost, or older than it was, breaks it.
//!
//! ```text
//! link n:  chain(n) = blake2-256(chain(n − 1) ‖ n ‖ submission ‖ checksum of its row)
//! ```

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction};
use sp_crypto_hashing::blake2_256;

use super::{StoreError, failed};

/// Links kept: several for each submission of the last twenty epochs. Older rows are held by their
/// checksums alone.
const KEPT: i64 = 1_024;

/// A place in the chain.
struct Link {
    seq: i64,
    submission: i64,
    sum: Vec<u8>,
    chain: Vec<u8>,
}

fn chain(before: &[u8], seq: i64, submission: i64, sum: &[u8]) -> Vec<u8> {
    let text = [before, &seq.to_le_bytes(), &submission.to_le_bytes(), sum].concat();
    blake2_256(&text).to_vec()
}

/// Begins the chain over the rows of a file that had none.
pub(super) fn begin(tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    let mut statement = tx.prepare("SELECT id, sum FROM submission ORDER BY id")?;
    let rows: Vec<(i64, Vec<u8>)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    rows.into_iter().try_for_each(|(id, sum)| append(tx, id, &sum))
}

/// Adds the link of a row that was just written with this checksum.
pub(crate) fn link(tx: &Transaction<'_>, submission: i64, sum: &[u8]) -> Result<(), StoreError> {
    append(tx, submission, sum).map_err(failed("journal"))
}

fn append(tx: &Transaction<'_>, submission: i64, sum: &[u8]) -> Result<(), rusqlite::Error> {
    let (seq, before) = tip(tx)?.unwrap_or_default();
    let seq = seq + 1;
    let chain = chain(&before, seq, submission, sum);
    tx.execute(
        "INSERT INTO link (seq, submission, sum, chain) VALUES (?1, ?2, ?3, ?4)",
        (seq, submission, sum, &chain),
    )?;
    tx.execute("INSERT OR REPLACE INTO tip (id, seq, chain) VALUES (1, ?1, ?2)", (seq, &chain))?;
    tx.execute("DELETE FROM link WHERE seq <= ?1", [seq - KEPT])?;
    Ok(())
}

fn tip(connection: &Connection) -> Result<Option<(i64, Vec<u8>)>, rusqlite::Error> {
    let query = "SELECT seq, chain FROM tip";
    connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Follows the chain to its tip, and holds the rows against it.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let broken = |what: String| StoreError::Chain { what };
    let tip = tip(connection).map_err(failed("read"))?;
    let mut statement = connection
        .prepare("SELECT seq, submission, sum, chain FROM link ORDER BY seq")
        .map_err(failed("read"))?;
    let links = statement
        .query_map([], |row| {
            let [seq, submission] = [row.get(0)?, row.get(1)?];
            Ok(Link { seq, submission, sum: row.get(2)?, chain: row.get(3)? })
        })
        .map_err(failed("read"))?;
    let (mut last, mut rows) = (None::<Link>, BTreeMap::new());
    for link in links {
        let link = link.map_err(failed("read"))?;
        let (seq, before) = match &last {
            Some(last) => (last.seq + 1, last.chain.clone()),
            None if link.seq == 1 => (1, Vec::new()),
            // The links before were dropped for their age.
            None => (link.seq, Vec::new()),
        };
        let follows = last.is_none() && link.seq != 1
            || link.chain == chain(&before, seq, link.submission, &link.sum);
        if link.seq != seq || !follows {
            return Err(broken(format!("link {} does not follow from the one before", link.seq)));
        }
        rows.insert(link.submission, link.sum.clone());
        last = Some(link);
    }
    let end = last.map(|link| (link.seq, link.chain));
    if end != tip {
        let [end, tip] = [end, tip].map(|place| place.map_or(0, |(seq, _)| seq));
        return Err(broken(format!("it ends at link {end}, and its tip is {tip}")));
    }
    for (submission, sum) in rows {
        let query = "SELECT sum FROM submission WHERE id = ?1";
        let found: Option<Vec<u8>> = connection
            .query_row(query, [submission], |row| row.get(0))
            .optional()
            .map_err(failed("read"))?;
        if found.as_ref() != Some(&sum) {
            let how = if found.is_some() { "is another one" } else { "is missing" };
            return Err(broken(format!("the row of submission {submission} {how}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::FIRST_LAYOUT).unwrap();
        connection.execute_batch(super::super::SECOND_LAYOUT).unwrap();
        connection
    }

    fn write(connection: &mut Connection, id: i64, sum: u8) {
        let tx = connection.transaction().unwrap();
        let row = "INSERT OR REPLACE INTO submission (id, body, sum) VALUES (?1, '', ?2)";
        tx.execute(row, (id, vec![sum])).unwrap();
        link(&tx, id, &[sum]).unwrap();
        tx.commit().unwrap();
    }

    #[test]
    fn a_row_that_is_lost_or_older_than_it_was_is_named() {
        for damage in [
            "DELETE FROM submission WHERE id = 2",
            "UPDATE submission SET sum = x'01' WHERE id = 2",
            "DELETE FROM link WHERE seq = 3",
            "DELETE FROM link WHERE seq = 2",
            "DELETE FROM link",
            "DELETE FROM tip",
            "UPDATE link SET sum = x'09' WHERE seq = 1",
            "UPDATE link SET submission = 9 WHERE seq = 1",
        ] {
            let mut connection = file();
            for (id, sum) in [(1, 0), (2, 1), (2, 2)] {
                write(&mut connection, id, sum);
            }
            check(&connection).unwrap();
            connection.execute_batch(damage).unwrap();
            let error = check(&connection).unwrap_err();
            assert!(matches!(error, StoreError::Chain { .. }), "{damage}: {error:?}");
        }
    }

    #[test]
    fn old_links_are_dropped_and_the_chain_still_holds() {
        let mut connection = file();
        for n in 0..KEPT + 3 {
            write(&mut connection, 1 + n / 4, u8::try_from(n % 251).unwrap());
        }
        check(&connection).unwrap();
        let kept: i64 =
            connection.query_row("SELECT count(*) FROM link", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, KEPT);
    }
}
