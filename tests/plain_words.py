"""The words that code and pages do not use, and what to write instead; and a search for them in files."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What is not written (a regular expression), and what is written instead. A space stands for any white space.
# Add a row for each metaphor, and each word that a reader would have to look up, in a message or on a page.
WORDS: dict[str, str] = {
    # the model
    r"foret(ell|elling|ells|old)": "predicted, predict",
    r"(a|the|no|each|every|per|without|likely) looks?(?! (at|up|for|like)\b)": "an attentive vote",
    r"looks (are|were|likelier)": "attentive votes",
    r"(odds|share|probability|chance|number) of (a |the )?looks?": "probability of an attentive vote",
    r"(who|users?|they|not|hardly) looks?(?! (at|up|for|like|alike|as|the same|equally)\b)": "attend",
    r"looked(?! (up|at|for|like|alike)\b)": "attended, was attentive",
    r"(told|tell|tells|telling)( \w+){0,4} apart": "distinguished, stratified, separate",
    r"sets?( \w+){0,3} apart": "stratify, distinguish",
    r"(at )?face value": "unadjusted",
    r"(un)?seen": "observed; held-out, new",
    r"lack(s|ed|ing)?": "optimality gap; is missing; without",
    r"lean(s|ed|ing|t)?": "margin; prefer; be biased toward",
    r"tilt(s|ed|ing)?": "log-odds offset",
    r"pieces?": "connected components; parts",
    r"(in|closes?|closed|around|without|no|has|have) (a |the |any )?circles?|circles? (of|that)": "cycle",
    r"(?<!-)contrarians?": "adversarial users",
    r"kinds? of (votes?|questions?|outcomes?|tables?|rows?|cells?|strengths?)": "stratum, schema, type",
    r"in kind|(a|some|of the same|each|every|per|its|that) kind(?! of\b)": "stratum, type, class",
    r"evidence|Evidence(?= [a-z])": "anchor votes; marginal likelihood",
    # how it is fitted
    r"spare": "redundant (support point)",
    r"spikes?": "atoms",
    r"polish(es|ed|ing)?": "Newton steps",
    r"climb(s|ed|ing)?": "EM loop, ascent",
    r"scanned": "found by grid search",
    r"(crawl|creep)(s|ed|ing)?": "converges slowly",
    r"humps?": "modes",
    # passing things on
    r"hand(s|ed|ing)? (\w+ )?(over|on|back|in|out)": "pass to, return, switch to",
    r"handed": "passed, given",
    r"dealt( out)?|deals( out)?": "distributed, assigned, split",
    # the code base
    r"nobody": "no user; padding",
    r"strangers?": "unrelated files, other modules",
    r"rooms?": "package, memory, space",
    r"doors?": "entry point, one import",
    r"house": "code base",
    r"front page": "the package emjax",
    # words that a reader would have to look up
    r"anew|aught|naught|whence|hither|henceforth|whosoever": "again; plain words",
    r"vouch(es|ed)?": "show",
    r"(in|with) silence|without a word|on the spot|of their own accord": "without a message; there and then",
}  # fmt: skip


def _pattern(written: str) -> re.Pattern[str]:
    """A row of the table as it is searched for: in any case, unless the row has capitals."""
    words = r"\b(?:" + written.replace(" ", r"\s+") + r")\b"
    return re.compile(words, re.IGNORECASE if written.islower() else re.NOFLAG)


PATTERNS = {written: _pattern(written) for written in WORDS}


class Found(NamedTuple):
    """A word that is not to be written, and where it stands."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word!r} (write: {self.instead})"


def _blank(match: re.Match[str]) -> str:
    """Spaces in place of a match, line breaks kept, so that line numbers stay true."""
    return re.sub(r"[^\n]", " ", match[0])


def text_of_page(text: str) -> str:
    """A Markdown page without code: of fenced blocks the comments in Python stay."""
    text = re.sub(
        r"<!-- result: .*?<!-- end of result -->", _blank, text, flags=re.DOTALL
    )  # generated tables

    def of_fence(fence: re.Match[str]) -> str:
        if fence[1] not in {"python", "py"}:
            return _blank(fence)
        return re.sub(r"^([^#\n]*)", _blank, fence[0], flags=re.MULTILINE)

    text = re.sub(r"^```(\w*)\n.*?^```", of_fence, text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]+`", _blank, text)
    return re.sub(r"\]\([^)]*\)", _blank, text)  # addresses of links


def text_of_template(text: str) -> str:
    """A Jinja2 template without tags and statements; of expressions the text in quotes stays."""

    def of_expression(expression: re.Match[str]) -> str:
        return re.sub(r'("[^"]*")|[^\n]', lambda part: part[1] or " ", expression[0])

    text = re.sub(r"<code>.*?</code>|<[^>]*>|\{%.*?%\}", _blank, text, flags=re.DOTALL)
    return re.sub(r"\{\{.*?\}\}", of_expression, text, flags=re.DOTALL)


def text_of_python(text: str) -> str:
    """Comments and string literals of a Python file, without code in them: examples, `code`, names.

    Names are string literals of one word, and what stands before the colon in a list of attributes.
    """
    kept = [re.sub(r"[^\n]", " ", line) for line in text.splitlines(keepends=True)]

    def keep(start: tuple[int, int], words: str) -> None:
        for number, part in enumerate(words.split("\n"), start[0] - 1):
            column = start[1] if number == start[0] - 1 else 0
            line = kept[number]
            kept[number] = line[:column] + part + line[column + len(part) :]

    wanted = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in wanted and " " in token.string.strip("\"' "):
            words = re.sub(r"^( *)(>>>|\.\.\.) [^#\n]*", _blank, token.string, flags=re.MULTILINE)
            words = re.sub(r"^ +[\w, ]+ : |^ +\w+$", _blank, words, flags=re.MULTILINE)
            keep(token.start, re.sub(r"`[^`\n]+`|\{[^{}\n]*\}", _blank, words))
    return re.sub(r"(?<=\n) *#", _blank, "".join(kept))  # a phrase may run over lines of comments


def found_in(file: Path, shown: str) -> Iterator[Found]:
    """Each word of the table in what a reader reads of a file."""
    text = file.read_text(encoding="utf-8")
    readers = {".py": text_of_python, ".html": text_of_template}
    read = readers.get(file.suffix, text_of_page)(text)
    for written, pattern in PATTERNS.items():
        for match in pattern.finditer(read):
            word = " ".join(match[0].split())
            yield Found(shown, read.count("\n", 0, match.start()) + 1, word, WORDS[written])
