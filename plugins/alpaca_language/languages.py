"""Which scripts a language is written in. Read at start-up, so standard library only.

Scripts are called by the first word of their letters' names in the Unicode Character Database (``LATIN SMALL LETTER
A``); Han letters are ``CJK`` there. Languages by name and ISO 639-1 code, a few by ISO 639-3; scripts by name and ISO
15924 code.
"""

from __future__ import annotations

import re

_LANGUAGES = {
    "LATIN": """
        af Afrikaans, sq Albanian, ast Asturian, az Azerbaijani, eu Basque, bs Bosnian, br Breton, ca Catalan, ceb
        Cebuano, co Corsican, hr Croatian, cs Czech, da Danish, nl Dutch, en English, eo Esperanto, et Estonian, fo
        Faroese, fil Filipino, fi Finnish, fr French, fy Frisian, gl Galician, de German, gn Guarani, ht Haitian, ha
        Hausa, haw Hawaiian, hu Hungarian, is Icelandic, ig Igbo, id Indonesian, ga Irish, it Italian, jv Javanese,
        rw Kinyarwanda, la Latin, lv Latvian, ln Lingala, lt Lithuanian, lb Luxembourgish, mg Malagasy, ms Malay, mt
        Maltese, mi Maori, no Norwegian, nb Bokmal, nn Nynorsk, oc Occitan, om Oromo, pl Polish, pt Portuguese, qu
        Quechua, ro Romanian, sm Samoan, gd Gaelic, st Sesotho, sn Shona, sk Slovak, sl Slovenian, so Somali, es
        Spanish, su Sundanese, sw Swahili, sv Swedish, tl Tagalog, tn Tswana, tr Turkish, tk Turkmen, vi Vietnamese,
        cy Welsh, wo Wolof, xh Xhosa, yo Yoruba, zu Zulu""",
    "CYRILLIC": """
        be Belarusian, bg Bulgarian, ky Kyrgyz, mk Macedonian, ru Russian, tg Tajik, tt Tatar, uk Ukrainian""",
    "LATIN CYRILLIC": "kk Kazakh, sr Serbian, uz Uzbek",
    "CYRILLIC MONGOLIAN": "mn Mongolian",
    "ARABIC": "ar Arabic, ckb Sorani, fa Persian, fa Farsi, ps Pashto, sd Sindhi, ug Uyghur, ur Urdu",
    "LATIN ARABIC": "ku Kurdish",
    "GREEK": "el Greek",
    "HEBREW": "he Hebrew, yi Yiddish",
    "ARMENIAN": "hy Armenian",
    "GEORGIAN": "ka Georgian",
    "DEVANAGARI": "hi Hindi, mr Marathi, ne Nepali, sa Sanskrit",
    "BENGALI": "bn Bengali, bn Bangla, as Assamese",
    "GURMUKHI": "pa Punjabi",
    "GUJARATI": "gu Gujarati",
    "ORIYA": "or Odia",
    "TAMIL": "ta Tamil",
    "TELUGU": "te Telugu",
    "KANNADA": "kn Kannada",
    "MALAYALAM": "ml Malayalam",
    "SINHALA": "si Sinhala",
    "THAANA": "dv Dhivehi",
    "THAI": "th Thai",
    "LAO": "lo Lao",
    "KHMER": "km Khmer",
    "MYANMAR": "my Burmese",
    "TIBETAN": "bo Tibetan, dz Dzongkha",
    "ETHIOPIC": "am Amharic, ti Tigrinya",
    "CJK BOPOMOFO": "zh Chinese, zh Mandarin, yue Cantonese",
    "HIRAGANA KATAKANA KANJI CJK": "ja Japanese",
    "HANGUL": "ko Korean",
}  # fmt: skip
_SCRIPTS = {
    **{"latn": "LATIN", "cyrl": "CYRILLIC", "arab": "ARABIC", "grek": "GREEK", "hebr": "HEBREW", "deva": "DEVANAGARI"},
    **{"han": "CJK BOPOMOFO", "hans": "CJK BOPOMOFO", "hant": "CJK BOPOMOFO", "hani": "CJK BOPOMOFO"},
    **{
        "jpan": "HIRAGANA KATAKANA KANJI CJK",
        "hira": "HIRAGANA",
        "kana": "KATAKANA",
        "kore": "HANGUL",
        "hang": "HANGUL",
    },
}
_SCRIPTS |= {name.casefold(): name for names in _LANGUAGES for name in names.split() if name != "CJK"}
_BY_NAME = {
    word.casefold(): scripts
    for scripts, languages in _LANGUAGES.items()
    for language in languages.split(",")
    for word in language.split()
}

NAMES = tuple(sorted({n.split()[-1] for languages in _LANGUAGES.values() for n in languages.split(",")}))


def scripts_of(language: str) -> frozenset[str]:
    """The scripts that texts in ``language`` are written in.

    ``language`` is a language's name (``Arabic``, ``Egyptian Arabic``) or code, with or without a region (``pt-BR``) or
    script (``sr-Latn``), or a script's name or code. Raises ValueError for one that is not known.
    """
    wanted = language.strip().casefold()
    first, *subtags = re.split(r"[-_]", wanted)
    named = [_SCRIPTS[tag] for tag in subtags if len(tag) == 4 and tag in _SCRIPTS]
    found = _BY_NAME.get(wanted) or _SCRIPTS.get(wanted) or next(iter(named), "") or _BY_NAME.get(first)
    if not found and " " in wanted:
        found = _BY_NAME.get(wanted.split()[-1])
    if not found:
        raise ValueError(
            f"language is {language!r}, which this filter does not know; expected a name such as Arabic, a code "
            "such as ar, or its script, such as Latin or Cyrillic"
        )
    return frozenset(found.split())
