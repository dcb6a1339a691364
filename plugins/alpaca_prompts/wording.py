"""The few words of the forms that teachers put into the language they write: headers, and "no input"."""

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

_NO_INPUT = re.compile(
    r"no[ _-]?(additional |further )?input( is| was)?( required| needed| necessary| provided| given)?"
    r"|none|n ?/ ?a|n\.a|not (applicable|required|needed|necessary|available)"
    r"|(لا|لا (يوجد|توجد|يلزم|حاجة إلى)|بدون|بلا|ليس هناك) (أي )?(ال)?(مدخل|مدخلات|إدخال|ادخال)( مطلوبة?)?"
    r"|لا ينطبق|لا حاجة للمدخلات|غير مطلوب|ورودی ندارد|بدون ورودی"
    r"|无需?输入|沒有輸入|無輸入|没有输入|不需要输入|不适用|入力(は)?(なし|ありません|不要)|該当なし"
    r"|입력(이)? ?(없음|불필요)|해당 ?없음|कोई इनपुट नहीं|girdi yok|не требуется|нет (ввода|входных данных)|без ввода"
    r"|sin entrada|no hay entrada|no aplica|sem entrada|não se aplica|nessun input"
    r"|aucune entrée|pas d['’]entrée|sans entrée|sans objet|keine eingabe( erforderlich| nötig)?|entfällt"
)
_AROUND = " \t\n<>()[]{}.*_\"'`\u3002\uff08\uff09\u3010\u3011"


def in_english(text: str) -> str:
    """``text`` with the numbered headers that stand there in another language in English."""
    return _HEADER.sub(lambda match: f"{match[1]}.{match[2]}{match.lastgroup}", text)


def no_input(text: str) -> bool:
    """Whether a whole input field only says that there is no input."""
    return len(text) < 60 and bool(_NO_INPUT.fullmatch(text.strip(_AROUND).lower()))
