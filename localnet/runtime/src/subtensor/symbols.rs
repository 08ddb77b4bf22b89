//! What a subnet's token is called before its owner says so.

use super::*;

/// Symbols by netuid, one character each, as the chain's table has them: 439.
const SYMBOLS: &str = concat!(
    "Ταβγδεζηθικλμνξοπρσtυφχψω",
    "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويى",
    "ᚠᚢᚦᚨᚱᚳЫᛉᛒ\u{1680}ᚁᚂᚃᚄᚅ᚛",
    "აბგდევԱԲԳԴԵԶ՞ЀЁЂЃЄЅъⲀⲁⲂⲃⲄⲅ𑀀𑀁𑀂𑀃𑀅නඳපඵබභ",
    "ⰀⰁⰂⰃⰄⰅⰆⰇⰈⰉⰊⰋⰌⰍⰎⰏⰐⰑⰒⰓⰔⰕⰖⰗⰘⰙⰚⰛⰜⰝⰞⰟⰠ",
    "กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ",
    "አኡኢኣኤእኦኧወዉዊዋዌውዎኰ኱ኲኳኴኵ኶ጐ጑ጒመጔጕ጖",
    "अआइईउऊऋएऐओऔकखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह",
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "ⴰⴱⴲⴳⴴⴵⴶⴷⴸⴹⴺⴻⴼⴽⴾⴿⵀⵁⵂⵃⵄⵅⵆⵇⵈⵉⵊⵋⵌⵍⵎⵏⵐⵑⵒⵓ",
    "අආඉඊඋඌඍඎඏඐඑඒඓඔඕඖකඛගඝඞචඡජඣඤටඥඦඩඨඪණඬතථදධ",
);

/// Symbol of a netuid beyond the table: the root's.
const BEYOND: char = 'Τ';

/// Names by netuid, as far as the default limit of 128 subnets goes.
const NAMES: [&str; 129] = [
    "root",
    "apex",
    "omron",
    "templar",
    "targon",
    "kaito",
    "infinite",
    "subvortex",
    "ptn",
    "pretrain",
    "sturdy",
    "dippy",
    "horde",
    "dataverse",
    "palaidn",
    "deval",
    "bitads",
    "3gen",
    "cortex",
    "inference",
    "bitagent",
    "any-any",
    "meta",
    "social",
    "omega",
    "protein",
    "alchemy",
    "compute",
    "oracle",
    "coldint",
    "bet",
    "naschain",
    "itsai",
    "ready",
    "mind",
    "logic",
    "automata",
    "tuning",
    "distributed",
    "edge",
    "chunk",
    "sportsensor",
    "masa",
    "graphite",
    "score",
    "gen42",
    "neural",
    "condense",
    "nextplace",
    "automl",
    "audio",
    "celium",
    "dojo",
    "frontier",
    "safescan",
    "unknown",
    "gradients",
    "gaia",
    "dippy-speach",
    "agent-arena",
    "unknown",
    "red team",
    "agentao",
    "lean-in",
    "chutes",
    "sad",
    "dad",
    "ta",
    "dha",
    "ain",
    "ghayn",
    "fa",
    "qaf",
    "kaf",
    "lam",
    "mim",
    "nun",
    "ha",
    "waw",
    "ya",
    "alef",
    "fehu",
    "uruz",
    "thurisaz",
    "ansuz",
    "raidho",
    "kaunan",
    "cyr_yeru",
    "algiz",
    "berkanan",
    "ogham",
    "beith",
    "luis",
    "fearn",
    "sail",
    "nion",
    "forfeda",
    "ani",
    "bani",
    "gani",
    "doni",
    "eni",
    "vini",
    "ayp",
    "ben",
    "gim",
    "da",
    "ech",
    "za",
    "armeni",
    "grave",
    "io",
    "dje",
    "gje",
    "ie",
    "dze",
    "hard_sign",
    "alfa",
    "alfas",
    "vida",
    "vida_small",
    "gamma",
    "gamma_small",
    "brahmi_a",
    "brahmi_aa",
    "brahmi_i",
    "brahmi_ii",
    "brahmi_u",
    "la",
];

/// Name of a netuid beyond the table.
const NAMELESS: &str = "unknown";

fn bytes(symbol: char) -> Vec<u8> {
    symbol.to_string().into_bytes()
}

impl<T: Config> Pallet<T> {
    /// The symbol of a netuid, whoever else has it.
    pub(crate) fn symbol_for(netuid: NetUid) -> Vec<u8> {
        bytes(SYMBOLS.chars().nth(usize::from(netuid.0)).unwrap_or(BEYOND))
    }

    /// The symbol of a new subnet: its netuid's, or the first that nobody has, the root's excepted.
    pub(crate) fn free_symbol_for(netuid: NetUid) -> Vec<u8> {
        let used: std::collections::BTreeSet<Vec<u8>> = TokenSymbol::<T>::iter_values().collect();
        let own = Self::symbol_for(netuid);
        if !used.contains(&own) {
            return own;
        }
        let mut others = SYMBOLS.chars().skip(1).map(bytes);
        others.find(|symbol| !used.contains(symbol)).unwrap_or_else(|| bytes(BEYOND))
    }

    /// Whether `symbol` is one that a subnet may take.
    pub(crate) fn is_symbol(symbol: &[u8]) -> bool {
        SYMBOLS.chars().any(|known| bytes(known) == symbol)
    }

    /// The name of a subnet whose owner gave it none.
    pub(crate) fn default_name(netuid: NetUid) -> Vec<u8> {
        NAMES.get(usize::from(netuid.0)).unwrap_or(&NAMELESS).as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_symbol_of_its_own_for_each_of_439_netuids() {
        let distinct: std::collections::BTreeSet<char> = SYMBOLS.chars().collect();
        assert_eq!((SYMBOLS.chars().count(), distinct.len()), (439, 439));
    }

    #[test]
    fn symbols_stand_where_the_chain_has_them() {
        let at = |netuid| SYMBOLS.chars().nth(netuid).unwrap();
        let found = [0, 1, 19, 51, 87, 90, 128, 211, 271, 364, 438].map(at);
        let known = ['Τ', 'α', 't', 'ת', 'Ы', '\u{1680}', 'න', 'ㄱ', 'መ', 'ン', 'ධ'];
        assert_eq!(found, known);
    }
}
