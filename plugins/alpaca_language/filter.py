"""The filter: instruction and output in the script of the wanted language."""

from __future__ import annotations

import re

from alpaca_core import Candidate, Example, Keep, Reject
from alpaca_language import LanguageOptions
from alpaca_language.languages import NAMES, scripts_of
from alpaca_language.scripts import script_counts

# A short answer may be a name, a formula or a loanword in any language.
_SHORTEST_OUTPUT = 5  # words

# A task that asks for another language: translation, or the language's name. In English, and the words for translating
# and for English in the languages whose script is not Latin.
_OTHER_LANGUAGE = re.compile(
    rf"\btrans(?:lat|liter|crib)|\b(?:{'|'.join(NAMES)})\b|\blanguages?\b|\balphabet|\bscript\b|\banagram"
    "|ترجم|الإنجليزية|الانجليزية|انگلیسی|ترجمه|انگریزی"
    "|翻译|翻譯|译成|譯成|英语|英文|英語|訳|번역|영어"
    "|अनुवाद|अंग्रेज|অনুবাদ|ইংরেজি|மொழிபெயர்|ஆங்கில|แปล|ภาษาอังกฤษ"
    "|перев[её]|переклад|превод|английск|англійськ|μετάφρα|μεταφρά|αγγλικ|תרגם|תרגמ|אנגלית|թարգման|თარგმ",
    re.IGNORECASE,
)


class Language:
    """Rejects a candidate whose instruction or output has too few words in the scripts of the wanted language.

    Languages that share a script are not told apart. The input may be in any script: it is often what the task is
    about. The output may be in another where the task asks for another language, and where it is short.
    """

    def __init__(self, options: LanguageOptions) -> None:
        self.least = options.least
        self._scripts = scripts_of(options.language)
        self._wanted = options.language

    def judge(self, candidate: Candidate) -> Keep | Reject:
        reason = self._wrong("instruction", candidate.instruction, shortest=1)
        if not reason and not _OTHER_LANGUAGE.search(f"{candidate.instruction}\n{candidate.input}"):
            reason = self._wrong("output", candidate.output, shortest=_SHORTEST_OUTPUT)
        return Reject(reason) if reason else Keep()

    def kept(self, example: Example) -> None:
        pass

    def _wrong(self, field: str, text: str, shortest: int) -> str:
        """Why ``text`` is not in the wanted language; empty where it is, or is too short to tell."""
        counts = script_counts(text)
        words = counts.total()
        share = sum(counts[script] for script in self._scripts) / words if words else 1.0
        if words < shortest or share >= self.least:
            return ""
        (most, count), *_ = counts.most_common(1)
        return (
            f"{field}: {share:.0%} of {words} words are in the script of {self._wanted}, less than {self.least:.0%} "
            f"({count / words:.0%} are {_shown(most)})"
        )


def _shown(script: str) -> str:
    return "Han" if script == "CJK" else script.title()
