//! The lexicon. Short words: the models that read them are small.

/// Names of people.
pub(super) const PEOPLE: [&str; 16] = [
    "ann", "bob", "cal", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "leo", "mia",
    "ned", "ola", "pat",
];
/// Things to have.
pub(super) const THINGS: [&str; 16] = [
    "cup", "key", "hat", "pen", "map", "box", "jar", "rod", "net", "bell", "lamp", "coin", "rope",
    "drum", "ring", "sack",
];
/// What things are like.
pub(super) const COLOURS: [&str; 8] =
    ["red", "blue", "gold", "grey", "pink", "teal", "black", "white"];
/// Where things happen.
pub(super) const PLACES: [&str; 8] =
    ["barn", "mill", "lake", "farm", "dock", "cave", "hill", "shop"];
/// Animals.
pub(super) const ANIMALS: [&str; 8] = ["cat", "dog", "fox", "hen", "owl", "pig", "rat", "cow"];
/// Consonants of made-up words.
pub(super) const CONSONANTS: [char; 12] =
    ['b', 'd', 'f', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v'];
/// Vowels of made-up words.
pub(super) const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

/// A category of words, with the name that questions use.
pub(super) const CATEGORIES: [(&str, &[&str]); 5] = [
    ("person", &PEOPLE),
    ("thing", &THINGS),
    ("colour", &COLOURS),
    ("place", &PLACES),
    ("animal", &ANIMALS),
];
