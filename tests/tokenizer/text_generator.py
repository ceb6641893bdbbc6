"""Random and nasty strings for tokenizer tests, the same ones for a seed."""

import functools
import random
import unicodedata

WHITE_SPACE = "  \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u180e\u2002\u2009\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'x", "'l", "'r", "''s", "\u2019s", "'"]
EMOJI = "\U0001f468\U0001f469\U0001f467\U0001f3fb\U0001f3ff\u200d\ufe0f\u2764\U0001f1e9\U0001f1ea\U0001f600\u20e3"
SCRIPTS = [  # letters, digits and marks of one script
    (0x20, 0x7F), (0xA0, 0x250), (0x250, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x600),
    (0x600, 0x780), (0x780, 0x8FF), (0x900, 0xA00), (0xA00, 0xC00), (0xC00, 0xE00), (0xE00, 0x1000),
    (0x1000, 0x1100), (0x1200, 0x1400), (0x1700, 0x1900), (0x1900, 0x1C00), (0x1D00, 0x2000),
    (0x2000, 0x2100), (0x2100, 0x2C00), (0x3000, 0x3200), (0x4E00, 0x9FFF), (0xA000, 0xA500),
    (0xA640, 0xABFF), (0xF900, 0xFB00), (0xFB00, 0xFFFF), (0x10000, 0x10500), (0x10800, 0x11000),
    (0x11000, 0x12000), (0x16A00, 0x17000), (0x1D100, 0x1D800), (0x1E000, 0x1EF00), (0x1F000, 0x1FC00),
    (0x20000, 0x2A6DF), (0x2F800, 0x2FA20), (0xE0000, 0xE01F0), (0x10FFF0, 0x110000),
]
WORDS = ("It is a truth universally acknowledged that single man in possession of good fortune must be want wife "
         "don't I'll we've you're he's THE And 1813 3.14 e-mail f(x) naïve café façade Straße").split()


def is_character(code_point):
    return not 0xD800 <= code_point < 0xE000


@functools.cache
def code_points():
    """By general category; and those with a canonical decomposition."""
    by_category = {}
    decomposable = []
    for char in map(chr, filter(is_character, range(0x110000))):
        by_category.setdefault(unicodedata.category(char), []).append(char)
        if unicodedata.decomposition(char)[:1] not in ("", "<"):
            decomposable.append(char)
    return by_category, decomposable


class TextGenerator:
    """Strings as text() makes them; added_tokens and vocab are sprinkled in."""

    def __init__(self, seed, added_tokens=(), vocab=()):
        self.random = random.Random(seed)
        self.added_tokens = list(added_tokens) or ["<|endoftext|>"]
        self.vocab = list(vocab) or WORDS
        by_category, self.decomposable = code_points()
        self.marks = by_category["Mn"] + by_category["Mc"] + by_category["Me"]
        self.digits = by_category["Nd"] + by_category["Nl"] + by_category["No"]
        self.controls = by_category["Cc"] + by_category["Cf"]
        self.unassigned = by_category["Cn"]
        self.kinds = [
            self.any_plane, self.any_plane, self.script, self.script, self.mixed, self.mixed, self.english,
            self.english, self.spaces, self.combining, self.combining, self.decomposed, self.hangul, self.numbers,
            self.contractions, self.control, self.emoji, self.spelled_tokens, self.spelled_tokens, self.from_vocab,
            self.long_run,
        ]

    def text(self):
        r = self.random
        parts = r.choice((1, 1, 1, 2, 2, 3))
        return "".join(r.choice(self.kinds)() for _ in range(parts))

    def some(self, population, most=12):
        return "".join(self.random.choices(population, k=self.random.randint(0, most)))

    def character(self):
        while True:
            code_point = self.random.randrange(0x110000)
            if is_character(code_point):
                return chr(code_point)

    def any_plane(self):
        return "".join(self.character() for _ in range(self.random.randint(0, 12)))

    def from_script(self, script):
        while True:
            code_point = self.random.randrange(*script)
            if is_character(code_point):
                return chr(code_point)

    def script(self):
        script = self.random.choice(SCRIPTS)
        return "".join(" " if self.random.random() < 0.15 else self.from_script(script)
                       for _ in range(self.random.randint(0, 20)))

    def mixed(self):
        r = self.random
        return "".join(r.choice((lambda: self.from_script(r.choice(SCRIPTS)), lambda: r.choice(WHITE_SPACE),
                                 lambda: r.choice(WORDS), lambda: r.choice(self.digits),
                                 lambda: r.choice(self.marks)))() for _ in range(r.randint(0, 12)))

    def english(self):
        r = self.random
        return r.choice((" ", " ", "  ", "\n", ", ")).join(r.choices(WORDS, k=r.randint(1, 10)))

    def spaces(self):
        r = self.random
        return "".join(r.choice((r.choice(WHITE_SPACE), " " * r.randint(1, 30), "\n", "x", "1", "."))
                       for _ in range(r.randint(1, 10)))

    def combining(self):
        r = self.random
        return "".join(r.choice(("a", "o", "\u03b1", "\u0915", "\u1100", " ", "")) + self.some(self.marks, 5)
                       for _ in range(r.randint(1, 5)))

    def decomposed(self):
        r = self.random
        text = "".join(r.choices(self.decomposable, k=r.randint(1, 6)))
        text = unicodedata.normalize(r.choice(("NFC", "NFD")), text)
        if r.random() < 0.5:
            text = "".join(r.sample(text, len(text)))
        return text

    def hangul(self):
        r = self.random
        return "".join(chr(r.choice((r.randrange(0x1100, 0x1113), r.randrange(0x1161, 0x1176),
                                     r.randrange(0x11A7, 0x11C3), r.randrange(0xAC00, 0xD7A4),
                                     r.randrange(0x1100, 0x1200), r.randrange(0xD7A4, 0xD800))))
                       for _ in range(r.randint(1, 10)))

    def numbers(self):
        return self.some(self.digits) + self.random.choice(("", " ", ".", "a")) + self.some("0123456789 .,")

    def contractions(self):
        r = self.random
        return "".join(r.choice(("I", "x ", " ", "1", ".", "é")) + r.choice(CONTRACTIONS)
                       for _ in range(r.randint(1, 6)))

    def control(self):
        return self.some(self.controls) + self.some("\0\x01\x7f\x80\x9f") + self.some(self.unassigned, 4)

    def emoji(self):
        return self.some(EMOJI)

    def spelled_tokens(self):
        r = self.random
        text = ""
        for _ in range(r.randint(1, 4)):
            token = r.choice(self.added_tokens)
            if r.random() < 0.2:
                token = token[:r.randint(0, len(token))]
            text += token + r.choice(("", "", " ", "  ", "x", "_", "\u0301", "\n ", r.choice(WORDS), self.character()))
        return text

    def from_vocab(self):
        return "".join(self.random.choices(self.vocab, k=self.random.randint(1, 8)))

    def long_run(self):
        r = self.random
        atom = r.choice(("a", "ab", " ", "\n", "\t ", "0", "é", "'", "=", "\u0301\u0323", "中", "😀", "the", "--", "\0",
                         self.character()))
        return atom * r.choice((3, 17, 40, 60, 130))


def every_code_point(sparse, per_text=24):
    """Code points between letters, digits, spaces, punctuation and marks.

    All of Unicode; if `sparse`, of the planes that hold nothing but private use
    and unassigned code points only some.
    """
    full_planes = (0, 1, 2, 3, 14)
    pieces = []
    for c in range(0x110000):
        if is_character(c) and (not sparse or c >> 16 in full_planes or c % 1021 == 0):
            pieces.append("a{0}1{0}. {0} o\u0302{0}\u0323".format(chr(c)))
    return ["".join(pieces[i:i + per_text]) for i in range(0, len(pieces), per_text)]
