//! Rules that a budget must stop.

/// Rules that would run away, by what they would eat.
pub(crate) const RUNAWAYS: [(&str, &str); 7] = [
    ("memory at once", "def f(): return len('x' * 2147483647)"),
    (
        "memory by doubling",
        "def f():\n    x = [1]\n    for _ in range(40): x = x + x\n    return len(x)",
    ),
    (
        "an endless loop",
        "def f():\n    n = 0\n    for i in range(2147483647): n += i\n    return n",
    ),
    ("deep recursion", "def f(): return 1 + f()"),
    ("a huge sort", "def f(): return sorted([(i * 7919) % 2000003 for i in range(2000000)])[0]"),
    ("a huge list", "def f(): return len(list(range(2147483647)))"),
    ("a huge text", "def f(): return len(','.join([str(i) for i in range(1900000)]) * 40)"),
];
