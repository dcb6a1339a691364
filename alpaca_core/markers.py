"""The ways to say "no input": what an input field holds where a task has none."""

from __future__ import annotations

import re

# English, Arabic, Persian, Chinese, Japanese, Korean, Hindi, Turkish, Russian, Spanish, Portuguese, Italian, French,
# German.
_NO_INPUT = re.compile(
    r"no[ _-]?(additional |further )?inputs?( is| was)?( required| needed| necessary| provided| given)?"
    r"|none|n ?/ ?a|n\.a|not (applicable|required|needed|necessary|available)"
    r"|(لا|لا (يوجد|توجد|يلزم|حاجة إلى)|بدون|بلا|ليس هناك) (أي )?(ال)?(مدخل|مدخلات|إدخال|ادخال)( مطلوبة?)?"
    r"|لا ينطبق|لا حاجة للمدخلات|غير مطلوب|ورودی ندارد|بدون ورودی"
    r"|无需?输入|沒有輸入|無輸入|没有输入|不需要输入|不适用|入力(は)?(なし|ありません|不要)|該当なし"
    r"|입력(이)? ?(없음|불필요)|해당 ?없음|कोई इनपुट नहीं|girdi yok|не требуется|нет (ввода|входных данных)|без ввода"
    r"|sin entrada|no hay entrada|no aplica|sem entrada|não se aplica|nessun input"
    r"|aucune entrée|pas d['’]entrée|sans entrée|sans objet|keine eingabe( erforderlich| nötig)?|entfällt"
)
_AROUND = " \t\n<>()[]{}.,\\*_\"'`\u3002\uff08\uff09\u3010\u3011"


def no_input(text: str) -> bool:
    """Whether a whole input field only says that there is no input, in any of fourteen languages."""
    return len(text) < 60 and bool(_NO_INPUT.fullmatch(text.strip(_AROUND).lower()))
