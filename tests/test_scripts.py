"""The near-duplicate filter in every script, with its default threshold: copies and near copies are rejected, unrelated
instructions are kept. The sentences were written for this table."""

# ruff: noqa: E501 (tables of sentences)
from __future__ import annotations

from itertools import combinations

import pytest
from alpaca_rouge import RougeOptions
from alpaca_rouge.filter import Rouge
from hypothesis import given
from hypothesis import strategies as st

from alpaca_core import Candidate, Example, Keep, unicode_tokens

# Per script: an instruction, and the same with a word or two changed. Instructions of one script are unrelated.
NEAR_COPIES = {
    "English": [
        ("Write a short poem about the sea in winter.", "Write a short poem about the sea in summer."),
        ("Explain to a child why the sky is blue.", "Explain to a small child why the sky is blue."),
        ("List five cheap meals that need no oven.", "List six cheap meals that need no oven."),
        ("What is the difference between a lake and a pond?", "What's the difference between a lake and a pond?"),
        ("Translate this letter to my landlord into German.", "Translate this email to my landlord into German."),
    ],
    "French": [
        ("Écrivez un court poème sur la mer en hiver.", "Ecrivez un court poeme sur la mer en été."),
        ("Expliquez à un enfant pourquoi le ciel est bleu.", "Explique à un enfant pourquoi le ciel est bleu."),
        ("Citez cinq repas bon marché qui se préparent sans four.", "Citez six repas bon marché qui se préparent sans four."),
        ("Quelle est la différence entre un lac et un étang ?", "Quelle est la différence entre un étang et un lac ?"),
        ("Traduisez cette lettre à mon propriétaire en allemand.", "Traduisez ce courriel à mon propriétaire en allemand."),
    ],
    "Arabic": [
        ("اكتب قصيدة قصيرة عن البحر في فصل الشتاء.", "اُكْتُبْ قَصِيدَةً قَصِيرَةً عَنِ البَحْرِ في فصل الصيف."),
        ("اشرح لطفل صغير لماذا تبدو السماء زرقاء.", "إشرح لطفل صغير لماذا تبدو السمـــاء زرقاء؟"),
        ("اذكر ٥ وجبات رخيصة لا تحتاج إلى فرن.", "أذكر 6 وجبات رخيصة لا تحتاج الى فرن."),
        ("ما الفرق بين البحيرة الكبيرة والبركة الصغيرة؟", "ما هو الفرق بين البحيرة الكبيرة والبركة الصغيرة؟"),
        ("ترجم هذه الرسالة إلى صاحب البيت إلى اللغة الألمانية.", "ترجم هذا البريد إلى صاحب البيت إلى اللغة الألمانية."),
    ],
    "Persian": [
        ("یک شعر کوتاه درباره‌ی دریا در زمستان بنویس.", "يك شعر كوتاه درباره‌ی دریا در تابستان بنویس."),
        ("برای یک کودک توضیح بده چرا آسمان آبی است.", "برای یک کودک کوچک توضیح بده چرا آسمان آبی است."),
        ("پنج غذای ارزان نام ببر که به فر نیاز ندارند.", "شش غذای ارزان نام ببر که به فر نیاز ندارند."),
        ("تفاوت دریاچه و برکه در چیست؟", "تفاوت میان دریاچه و برکه در چیست؟"),
        ("این نامه به صاحب‌خانه‌ام را به آلمانی ترجمه کن.", "این ایمیل به صاحب‌خانه‌ام را به آلمانی ترجمه کن."),
    ],
    "Hebrew": [
        ("כתוב שיר קצר על הים בחורף הקר.", "כתוב שיר קצר על הים בקיץ הקר."),
        ("הסבר לילד קטן מדוע השמיים כחולים.", "הסבר לילד קטן למה השמיים כחולים."),
        ("מנה חמש ארוחות זולות שאינן דורשות תנור.", "מנה שש ארוחות זולות שאינן דורשות תנור."),
        ("מה ההבדל בין אגם גדול לבין בריכה קטנה?", "מה ההבדל בין אגם גדול ובין בריכה קטנה?"),
        ("תרגם את המכתב הזה לבעל הבית לגרמנית.", "תרגם את המייל הזה לבעל הבית לגרמנית."),
    ],
    "Russian": [
        ("Напиши короткое стихотворение о зимнем море и ветре.", "Напиши короткое стихотворение о летнем море и ветре."),
        ("Объясни маленькому ребёнку, почему небо голубое.", "Объясни маленькому ребенку, отчего небо голубое."),
        ("Назови пять дешёвых блюд, для которых не нужна духовка.", "Назови шесть дешёвых блюд, для которых не нужна духовка."),
        ("Чем большое озеро отличается от маленького пруда?", "Чем именно большое озеро отличается от маленького пруда?"),
        ("Переведи это письмо хозяину квартиры на немецкий язык.", "Переведи это сообщение хозяину квартиры на немецкий язык."),
    ],
    "Greek": [
        ("Γράψε ένα σύντομο ποίημα για τη θάλασσα τον χειμώνα.", "Γράψε ένα σύντομο ποίημα για τη θάλασσα το καλοκαίρι."),
        ("Εξήγησε σε ένα παιδί γιατί ο ουρανός είναι γαλάζιος.", "Εξηγησε σε ενα μικρο παιδι γιατι ο ουρανος ειναι γαλαζιος."),
        ("Πες πέντε φτηνά γεύματα που δεν χρειάζονται φούρνο.", "Πες έξι φτηνά γεύματα που δεν χρειάζονται φούρνο."),
        ("Ποια είναι η διαφορά ανάμεσα σε λίμνη και θάλασσα;", "Ποια είναι η διαφορά μεταξύ σε λίμνη και θάλασσα;"),
        ("Μετάφρασε αυτό το γράμμα προς τον σπιτονοικοκύρη στα γερμανικά.", "Μετάφρασε αυτό το μήνυμα προς τον σπιτονοικοκύρη στα γερμανικά."),
    ],
    "Hindi": [
        ("सर्दियों में समुद्र के बारे में एक छोटी कविता लिखो।", "गर्मियों में समुद्र के बारे में एक छोटी कविता लिखो।"),
        ("एक बच्चे को समझाओ कि आसमान नीला क्यों होता है।", "एक छोटे बच्चे को समझाओ कि आसमान नीला क्यों होता है।"),
        ("पाँच सस्ते व्यंजन बताओ जिनमें ओवन नहीं चाहिए।", "छह सस्ते व्यंजन बताओ जिनमें ओवन नहीं चाहिए।"),
        ("झील और तालाब में क्या अंतर होता है?", "झील और तालाब के बीच क्या अंतर होता है?"),
        ("मकान मालिक के नाम यह पत्र जर्मन भाषा में अनुवाद करो।", "मकान मालिक के नाम यह ईमेल जर्मन भाषा में अनुवाद करो।"),
    ],
    "Thai": [
        ("เขียนบทกวีสั้น ๆ เกี่ยวกับทะเลในฤดูหนาว", "เขียนบทกวีสั้น ๆ เกี่ยวกับทะเลในฤดูร้อน"),
        ("อธิบายให้เด็กฟังว่าทำไมท้องฟ้าจึงเป็นสีฟ้า", "อธิบายให้เด็กเล็กฟังว่าทำไมท้องฟ้าถึงเป็นสีฟ้า"),
        ("บอกอาหารราคาถูก ๕ อย่างที่ไม่ต้องใช้เตาอบ", "บอกอาหารราคาถูก 6 อย่างที่ไม่ต้องใช้เตาอบ"),
        ("ทะเลสาบกับบึงต่างกันอย่างไร", "ทะเลสาบและบึงต่างกันอย่างไร"),
        ("แปลจดหมายถึงเจ้าของบ้านฉบับนี้เป็นภาษาเยอรมัน", "แปลอีเมลถึงเจ้าของบ้านฉบับนี้เป็นภาษาเยอรมัน"),
    ],
    "Chinese": [
        ("请写一首关于冬天大海的短诗。", "请写一首关于夏天大海的短诗。"),
        ("向小朋友解释为什么天空是蓝色的。", "向一个小朋友解释天空为什么是蓝色的。"),
        ("列出五种不需要烤箱的便宜饭菜。", "列出六种不需要烤箱的便宜饭菜。"),
        ("湖泊和池塘有什么区别？", "湖泊与池塘之间有什么区别？"),
        ("把这封写给房东的信翻译成德语。", "把这封写给房东的邮件翻译成德语。"),
    ],
    "Japanese": [
        ("冬の海についての短い詩を書いてください。", "夏の海についての短い詩を書いて下さい。"),
        ("子どもに空がなぜ青いのかを説明してください。", "小さな子どもに空がなぜ青いのかを説明してください。"),
        ("オーブンを使わない安い料理を五つ挙げなさい。", "ｵｰﾌﾞﾝを使わない安い料理を六つ挙げなさい。"),
        ("湖と池の違いは何ですか。", "湖と池との違いは何でしょうか。"),
        ("大家さんへのこの手紙をドイツ語に訳してください。", "大家さんへのこのメールをドイツ語に訳してください。"),
    ],
    "Korean": [
        ("겨울 바다에 대한 짧은 시를 한 편 써 주세요.", "여름 바다에 대한 짧은 시를 한 편 써 주세요."),
        ("하늘이 왜 파란지 어린아이에게 쉽게 설명해 보세요.", "하늘이 왜 파란지 어린아이에게 아주 쉽게 설명해 보세요."),
        ("오븐이 필요 없는 값싼 요리 다섯 가지를 적어 줘.", "오븐이 필요 없는 값싼 요리 여섯 가지를 적어 줘."),
        ("큰 호수와 작은 연못은 무엇이 다른가요?", "큰 호수와 작은 연못은 도대체 무엇이 다른가요?"),
        ("집주인에게 보내는 이 편지를 독일어로 번역해 줘.", "집주인에게 보내는 이 메일을 독일어로 번역해 줘."),
    ],
    "Chinese and code": [
        ("用 Python 写一个函数 sort_list，按长度排序字符串。", "用 Python 写一个函数 sort_words，按长度排序字符串。"),
        ("解释 for (int i = 0; i < n; i++) 这个循环。", "请解释 for (int i = 0; i < 10; i++) 这个循环。"),
        ("怎样用 SQL 查询价格大于 100 的商品？", "怎样用 SQL 查询价格大于 200 的商品？"),
    ],
    "Arabic and code": [
        ("اكتب دالة في Python باسم sort_list ترتب الكلمات حسب الطول.", "اكتب دالة في Python باسم sort_words ترتب الكلمات حسب الطول."),
        ("اشرح هذه الحلقة: for i in range(10): print(i)", "اشرح هذه الحلقة البسيطة: for i in range(20): print(i)"),
        ("كيف أستعلم في SQL عن السلع التي يزيد سعرها على 100؟", "كيف أستعلم في SQL عن البضائع التي يزيد سعرها على 100؟"),
    ],
}  # fmt: skip
PAIRS = [(script, one, near) for script, pairs in NEAR_COPIES.items() for one, near in pairs]


def rejected(kept: str, candidate: str) -> bool:
    rouge = Rouge(RougeOptions())
    rouge.kept(Example(kept, "", "", id="kept"))
    return rouge.judge(Candidate(candidate, "", "")) != Keep()


@pytest.mark.parametrize(("script", "one", "near"), PAIRS)
def test_a_copy_and_a_near_copy_are_rejected(script, one, near):
    assert one != near
    assert rejected(one, one)
    assert rejected(one, near)


@pytest.mark.parametrize("script", NEAR_COPIES)
def test_unrelated_instructions_of_one_script_are_kept(script):
    for (one, near), (other, _) in combinations(NEAR_COPIES[script], 2):
        assert not rejected(one, other) and not rejected(near, other), (one, other)


# -- the tokens that this rests on


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("اُكْتُبْ قَصِيدَةً", "اكتب قصيدة"),  # harakat
        ("الكتــــاب", "الكتاب"),  # stretched
        ("أحمد إلى آخر ٱلكتاب", "احمد الي اخر الكتاب"),  # alef and yeh
        ("علی کتاب", "علي كتاب"),  # typed on a Persian keyboard
        ("مؤسسة رئيس", "موسسة رييس"),  # hamza on its seats
        ("٣ و ۴ و ๕ و ६", "3 و 4 و 5 و 6"),
        ("می‌شود", "ميشود"),
        ("שָׁלוֹם", "שלום"),
        ("ёлка Ёлка", "елка елка"),
        ("σοφός ΣΟΦΟΣ", "σοφοσ σοφοσ"),
        ("Où est l’Été ?", "ou est l ete"),
        ("Straße ＡＢＣ１２", "strasse abc12"),
        ("İstanbul", "istanbul"),
        ("हिन्दी क़लम", "हिन्दी क़लम"),
        ("བོད་ཡིག", "བོད ཡིག"),
        ("ދިވެހި", "ދިވެހި"),
        ("กำลัง", "กํ า ลั ง"),
        ("ｶﾞ ガ か゛ が", "カ\u3099 カ\u3099 か\u3099 か\u3099"),
        ("人々が", "人 々 か\u3099"),
        ("ラーメンとらーめん", "ラーメン と らーめん"),
        ("冬の海についての短い詩", "冬 の 海 に ついての 短 い 詩"),
        ("ふゆのうみをみる", "ふゆの うみを みる"),
        ("用Python3写file_name", "用 python3 写 file name"),
        ("❤️ ok ☕️", "ok"),
        ("الملف data.json في C++", "الملف data json في c"),
    ],
)
def test_tokens_of_every_script(text, tokens):
    assert unicode_tokens(text) == tokens.split()


def test_what_spells_another_word_is_another_token():
    for one, other in [
        ("がき", "かき"),
        ("ぱん", "ばん"),
        ("दिन", "दीन"),
        ("ปา", "ป่า"),
        ("བོད", "བད"),
        ("길", "김"),
        ("ж", "з"),
    ]:
        assert unicode_tokens(one) != unicode_tokens(other)


@given(st.text())
def test_any_text_has_tokens_without_blanks(text):
    assert all(token and not any(char.isspace() for char in token) for token in unicode_tokens(text))
