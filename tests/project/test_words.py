"""The project speaks the field's English: prose, docstrings, comments, messages and labels.

Someone who learned here must be able to search the documentation and to read the next book, so
each thing has the name that the field gives it. `INSTEAD` lists the words that this project once
used, or would slip into, and what to write for them.
"""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import tokenize
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPELLINGS = (
    "normal|summar|recogn|initial|organ|optim|general|random|minim|maxim|visual|categor|serial|"
    "token|vector|synchron|standard|emphas|penal|regular|parallel|special"
)
UNIT = "second|minute|hour|pixel|image|epoch|step|batch|digit|row|run|trial|layer|bin|file|core"
INSTEAD = {  # regular expression, in any case: what to write
    r"pictures?": "image, example; photo, scan, drawing where it is one",
    r"read (right|wrong)(ly)?|(right|wrong)ly read": "classified correctly, misclassified",
    r"readings|(a|its|each|right|wrong) reading": "prediction",
    r"reads? along": "predicts as you draw",
    r"(is|are|was|were|be|been) taken for": "confused with",
    r"trainings|(state|end|row) of a training(?! run)": "training runs",
    r"likeliest": "most probable",
    r"for ever": "forever",
    r"learnt|spelt": "learned, spelled",
    r"(several|other|another|all|one|each|ornate|whose|our) hands?(?! side)": "writing style",
    r"shipped|ships": "pretrained",
    r"surest|surer|unsure|how sure|(is|are|was|not|less|more|most|very) sure": "confident",
    r"doubtful": "low confidence",
    r"per cent|\d\s%": "99.3%",
    rf"(one|two|\d+|rows?|images|numbers|seconds|steps|lines?|module|MB) an? ({UNIT})": "per",
    r"greatest|commonest": "maximum, most common",
    r"(?<!at )least (?!confident|squares)": "minimum",
    r"seldom|merely|whoever|anew|former|so many": "rarely, only, anyone who, again, previous, N",
    r"need not|be it": "don't need to, whether",
    r"mend(s|ed|ing)?": "fix",
    r"by lot|by heart|in the place of": "at random, memorized, instead of",
    r"pixels a side": "in height and width",
    r"(?<!standard )deviations?": "standard deviation",
    r"scatter(s|ed)?(?! plot)": "vary; standard deviation",
    r"(told|tells?|telling) (\w+ )?apart": "distinguish; significantly different",
    r"go(es|ing)? on": "continue, resume",
    r"slanting": "diagonal",
    r"led astray|(spoke|speaks?) (for|against)|errors of the label": "saliency, label errors",
    r"positive part": "after ReLU",
    r"(choose|chosen|judged?|judging) by": "select on the validation set",
    r"times sooner": "times faster",
    r"prepar(e|es|ed|ing|ation)": "preprocess",
    r"grey\w*|colour\w*|centr(e|es|ed)|neighbour\w*|(un)?labell\w+|behaviour|favour\w*": "American",
    rf"licences?|levelled|modelling|analys(e|ed|ing)|({SPELLINGS})is(e|ed|ing|ation)s?": "American",
}
PATTERN = re.compile(r"(?<![\w'`-])(?:" + "|".join(INSTEAD) + r")(?![\w`])", re.IGNORECASE)
SCRIPT_WORDS = re.compile(r"(?://|/\*|^\s*\*|#(?= ))(.*)|\"([^\"]* [^\"]*)\"|>([^<>]+)<")


def tracked(*endings: str) -> list[str]:
    """Return the repository's text files with these endings; not what others wrote or fuzzing."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    skipped = ("requirements", "tests/fuzz", "tools/page/package-lock")
    return sorted(
        name
        for name in files
        if name.endswith(endings) and not name.startswith(skipped) and (ROOT / name).is_file()
    )


def words_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments, strings with more than one word, and the names of functions and classes."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            text = re.sub(r"\{[^{}]*\}", "0", token.string)
            if re.search(r"\w\s+\w", text):
                for at, line in enumerate(text.split("\n")):
                    if not re.match(r"\s*(>>>|\.\.\.) ", line):
                        yield token.start[0] + at, line
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", node.name)


def words_of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Yield prose without code."""
    text = re.sub(r"(?ms)^( *)```.*?^\1```", lambda hit: "\n" * hit[0].count("\n"), text)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "0", text))
    yield from enumerate(re.sub(r"<[^>]+>", " ", unescape(text)).split("\n"), 1)


def words_of_notebook(text: str) -> Iterator[tuple[int, str]]:
    """Yield the words of all cells, with the cell's number for the line's, and alt texts."""
    for number, cell in enumerate(json.loads(text)["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield from ((number, line) for _, line in words_of_markdown(source))
        else:
            code = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source)
            yield from ((number, line) for _, line in words_of_python(code))
        yield number, json.dumps(cell["metadata"].get("mystnb", ""), ensure_ascii=False)


def words_of_script(text: str) -> Iterator[tuple[int, str]]:
    """Yield comments and strings with spaces of JavaScript, CSS, TOML, YAML, Make; text of HTML."""
    for at, line in enumerate(text.split("\n"), 1):
        for hit in re.finditer(
            r"(?://|/\*|^\s*\*|#(?= ))(.*)|\"([^\"]* [^\"]*)\"|>([^<>]+)<", line
        ):
            yield at, re.sub(r"\$\{[^}]*\}|`[^`]*`", "0", next(filter(None, hit.groups()), ""))


def words_of(name: str) -> Iterator[tuple[int, str]]:
    text = (ROOT / name).read_text(encoding="utf-8")
    reader = {".py": words_of_python, ".md": words_of_markdown, ".ipynb": words_of_notebook}
    return reader.get(Path(name).suffix, words_of_script)(text)


def found(line: str) -> list[str]:
    """Return the words in a line that the field does not use."""
    line = re.sub(r"``[^`]+``|`[^`]+`|https?://\S+", "0", line)
    return [hit[0] for hit in PATTERN.finditer(line)]


FILES = tracked(
    ".py", ".md", ".ipynb", ".js", ".css", ".html", ".toml", ".yml", "Makefile", ".ci/run"
)


@pytest.mark.parametrize("name", [name for name in FILES if name != "tests/project/test_words.py"])
def test_words_are_those_of_the_field(name: str) -> None:
    wrong = [
        f"{at}: {word!r} in {line.strip()[:90]}"
        for at, line in words_of(name)
        for word in found(line)
    ]
    assert not wrong, f"{name}\n" + "\n".join(wrong)
