"""The headers of the forms, which teachers put into the language they write."""

from __future__ import annotations

import re

#: A digit as European, Arabic, Persian and Indic writers and full-width fonts have it.
DIGIT = "[0-9\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\uff10-\uff19]"

# Arabic, Persian, Chinese, Japanese, Korean, Hindi, Russian, Turkish, Spanish, Portuguese, French, German, Italian.
_FIELDS = {
    "Instruction": "Instruction|(?:ال)?تعليم(?:ات|ة)|دستورالعمل|指令|指示|지시(?:문|사항)?|निर्देश|Инструкция|Talimat"
    "|Instrucci[óo]n|Instru[çc][ãa]o|Anweisung|Istruzione",
    "Input": "Input|(?:ال)?مدخل(?:ات)?|(?:ال)?إدخال|ورودی|输入|輸入|入力|입력|इनपुट|Ввод|Входные данные|Girdi"
    "|Entrada|Entr[ée]e|Eingabe",
    "Output": "Output|(?:ال)?مخرج(?:ات)?|(?:ال)?إخراج|خروجی|输出|輸出|出力|출력|आउटपुट|Вывод|Выходные данные|[ÇC]ıktı"
    "|Salida|Sa[íi]da|Sortie|Ausgabe",
}
_HEADER = re.compile(
    rf"^([ \t]{{0,3}}[#*_ ]{{0,6}}{DIGIT}{{1,4}})[.)\uff0e\u3001]([*_ \t]{{0,5}})"
    + "(?:"
    + "|".join(f"(?P<{name}>{words})" for name, words in _FIELDS.items())
    + r")(?=[ \t]{0,3}[*_]{0,2}[ \t]{0,3}[:\uff1a])",
    re.MULTILINE | re.IGNORECASE,
)


def in_english(text: str) -> str:
    """``text`` with the numbered headers that stand there in another language in English."""
    return _HEADER.sub(lambda match: f"{match[1]}.{match[2]}{match.lastgroup}", text)
