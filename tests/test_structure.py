"""The structural filters: what each repairs, rejects or flags, and above all what each leaves alone."""

from __future__ import annotations

import alpaca_structure
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpaca_core import Candidate, Flag, Keep, Reject, Repair

SPECS = {spec.name: spec for spec in alpaca_structure.alpaca_filters()}
FILTERS = {name: spec.load()() for name, spec in SPECS.items() if not spec.chain}


def judge(name, instruction="Name a river.", given="", output="The Danube."):
    return FILTERS[name].judge(Candidate(instruction, given, output))


def kept(name, instruction="Name a river.", given="", output="The Danube."):
    verdict = judge(name, instruction, given, output)
    return isinstance(verdict, Keep) or verdict.reason


def reason(kind, name, instruction="Name a river.", given="", output="The Danube."):
    verdict = judge(name, instruction, given, output)
    assert isinstance(verdict, kind), verdict
    return verdict.reason


def repaired(name, instruction="Name a river.", given="", output="The Danube."):
    verdict = judge(name, instruction, given, output)
    assert isinstance(verdict, Repair), verdict
    return verdict.candidate


# clean


def test_control_characters_go_and_odd_line_ends_become_line_feeds():
    dirty = "\ufeffOne\x00 two\r\nthree\x0bfour\u2028five\x1b\u200b"
    assert repaired("clean", output=dirty).output == "One two\nthree\nfour\nfive"
    assert reason(Repair, "clean", output="a\x07b") == "character U+0007 in the output"
    assert repaired("clean", output="half \ud83d a pair").output == "half  a pair"


@pytest.mark.parametrize(
    "text", ["می\u200cخواهم", "👩\u200d👧", "\u200fعربي (abc)\u200e", "Tab\tand\nline", "ภาษา\u200bไทย"]
)
def test_joiners_direction_marks_and_word_breaks_of_a_script_stay(text):
    assert kept("clean", output=text) is True


def test_entities_and_escaped_line_ends_become_what_they_stand_for():
    assert repaired("clean", output="Salt &amp; pepper, &#39;to taste&#39;").output == "Salt & pepper, 'to taste'"
    assert repaired("clean", output="Twice &amp;amp;quot; escaped").output == 'Twice " escaped'
    assert (
        repaired("clean", output="First step.\\nSecond step.\\r\\nThird.").output == "First step.\nSecond step.\nThird."
    )


@pytest.mark.parametrize(
    ("instruction", "output"),
    [
        ("Write HTML for less-than.", "Use &lt; in the text."),
        ("How is a quotation mark escaped in XML?", "As &quot; in attributes."),
        ("Join two words with a line break in Python.", "'one\\nTwo'"),
        ("Show a loop.", 'for (;;) {\n  printf("x\\n");\n}'),
        ("Give the formula of the area.", "a \\times b, and \\nu is a frequency"),
        ("Name a firm.", "Marks & Spencer; AT&T"),
    ],
)
def test_code_formulas_and_plain_ampersands_are_not_cleaned(instruction, output):
    assert kept("clean", instruction, output=output) is True


# merged


@pytest.mark.parametrize(
    "tail",
    [
        "\n##\n18. Instruction: Name a lake.\n18. Input:\n<noinput>\n18. Output:\nBaikal.",
        "\n\n\n7. Instruction: Name a lake.",
        "\n#\n7.  Instruction : Name a lake.",
        "\n________\n\n### 12. Instruction: Name a lake.",
        "\n4. Input:\nlakes\n4. Output:\nBaikal.",
        "//EOM//",
        " \n// end of the output.//",
        "\n###",
    ],
)
def test_a_text_is_cut_where_another_task_begins_or_the_end_is_marked(tail):
    assert repaired("merged", output="The Danube." + tail).output == "The Danube."
    assert reason(Repair, "merged", output="The Danube." + tail).startswith("output cut before '")


def test_an_instruction_is_cut_too():
    assert repaired("merged", "Name a river.\n2. Instruction: Name a lake.").instruction == "Name a river."


@pytest.mark.parametrize(
    "output",
    [
        "A program has three parts:\n1. Input: what it reads\n2. Processing: what it does\n3. Output: what it shows",
        "Instruction: turn left.",
        "See 3. Instruction: the word stands in the middle of this line.",
        "1. Instruction: at the very start there is nothing to cut from",
        "# Title\n\n## Part one\nText.",
        "int x = 1; // end of program",
    ],
)
def test_lists_headings_and_comments_are_not_cut(output):
    assert kept("merged", output=output) is True


# noinput


@pytest.mark.parametrize(
    "marker", ["<noinput>", "No input.", "N/A", "\\<noinput\\>", "لا يوجد إدخال", "无输入", "(no input)"]
)
def test_an_input_that_says_there_is_none_is_blanked(marker):
    assert repaired("noinput", given=marker).input == ""
    assert reason(Repair, "noinput", given=marker) == f"the input '{marker}' says that there is none"


def test_a_marker_beside_a_real_input_goes_alone():
    assert repaired("noinput", given="Ann Lee\n<noinput>").input == "Ann Lee"
    assert repaired("noinput", given="A poem about rain\n\nNoinput").input == "A poem about rain"
    assert repaired("noinput", given="<noinput> 8").input == ""
    assert repaired("noinput", given="<noinput>\nThe Rhine, the Po").input == "The Rhine, the Po"
    assert repaired("noinput", output="<noinput>\n\nThe Danube.").output == "The Danube."


@pytest.mark.parametrize(
    ("instruction", "given"),
    [
        ("Sort these words: plum, fig, apple.", "plum, fig, apple"),
        ('Correct the sentence "she go home."', "She go home."),
        ("Rewrite “It’s late.” politely.", "It's late"),
        ("Find the absolute value of -3", "-3"),
        ("Give two synonyms of 'calm'.", "calm"),
        ("Translate into English: 今天天气很好。", "今天天气很好"),
        ("صحح الجملة التالية: ذهب البنت إلى المدرسة", "ذهب البنت إلى المدرسة"),
    ],
)
def test_an_input_that_the_instruction_holds_word_for_word_is_blanked(instruction, given):
    assert repaired("noinput", instruction, given).input == ""


@pytest.mark.parametrize(
    ("instruction", "given"),
    [
        ("Find a rhyme for the given word", "word"),
        ("Which verb is underlined? He studies hard every day.", "hard"),
        ("Using the input, explain what a river delta is.", "river delta"),
        ("Name the capital of Francesca's country.", "France"),
        ("Continue the story.", "No input was ever lost on her, she thought."),
        ("Is the statement true?", "None of them came."),
        ("Sort the list.", "3, 1, 2"),
    ],
)
def test_an_input_that_says_more_than_the_instruction_stays(instruction, given):
    assert kept("noinput", instruction, given) is True


# no-output


@pytest.mark.parametrize(
    "output", ["", " \n\t", "\u200b", "N/A", "<nooutput>", "<No Output>", "[none]", "No output.", "无输出"]
)
def test_no_output_is_rejected(output):
    expected = "the output is empty" if not output.strip("\u200b \n\t") else "the output says that there is none: "
    assert reason(Reject, "no-output", output=output).startswith(expected)


def test_an_output_that_explains_its_absence_is_rejected():
    assert reason(Reject, "no-output", "Paint a horse.", output="No output because this needs a brush.")


@pytest.mark.parametrize(
    "output", ["28", "A", "?", "-", "π", "👍", "是", "None", "Nothing.", "No.", "null", "0", "Na", "[]"]
)
def test_short_outputs_are_answers(output):
    assert kept("no-output", output=output) is True


def test_no_output_is_an_answer_about_programs():
    assert kept("no-output", "What does this code print?", "pass", "No output.") is True


# links


@pytest.mark.parametrize(
    ("instruction", "given"),
    [
        ("Summarize the article.", "https://example.org/2020/05/rivers.html"),
        ("Which instrument is heard in this song?", "Link: https://example.org/watch?v=abc"),
        ("Given a URL, summarize its content.", "www.example.org/rivers"),
        ("Review this page: https://example.org/", ""),
        ("Summarize the article at https://example.org/rivers in two lines.", "No input"),
    ],
)
def test_a_task_about_the_content_of_a_bare_link_is_rejected(instruction, given):
    assert reason(Reject, "links", instruction, given).startswith("there is nothing but the link '")


@pytest.mark.parametrize(
    ("instruction", "given"),
    [
        ("Identify the domain name in this URL.", "https://www.example.org/rivers"),
        ("Write a regular expression for such addresses.", "https://example.org/a?b=c"),
        ("Summarize the text.", "The Danube rises in the Black Forest and flows east (https://example.org/danube)."),
        ("Write a date as [ISO 8601](https://example.org/iso) asks, and describe the format.", ""),
        ("Find all links in the text.", "Look at https://example.org for more information about it."),
        ("استخرج اسم النطاق من الرابط", "https://example.org/a"),
        ("Summarize the article.", "Rivers of the north are rising."),
    ],
)
def test_addresses_as_such_and_links_beside_a_text_are_kept(instruction, given):
    assert kept("links", instruction, given) is True


# media


@pytest.mark.parametrize(
    ("instruction", "given"),
    [
        ("Suggest a change to this page.", "[Image of a web shop]"),
        ("Praise the work.", "Painting: (attached image)"),
        ("Name the shape.", "<Picture Attached>"),
        ("Compare the two.", "[Image 1]\n[Image 2]"),
        ("Which tree is this?", "![tree](https://example.org/tree.jpg)"),
        ("Which shape is this?", '<img src="https://example.org/p.png"/>'),
        ("Describe the following photo in two sentences.", ""),
        ("What is the mood of this painting?", "No input"),
    ],
)
def test_media_that_are_not_there_are_rejected(instruction, given):
    assert reason(Reject, "media", instruction, given, "Blue.").startswith("is about media that are not there: '")


@pytest.mark.parametrize(
    "instruction",
    [
        "Design a logo for a bakery.",
        "Please create a colourful poster that warns of floods.",
        "Can you draw a cat?",
        "Draw the house of your dreams.",
        "Use the given numbers to make a bar chart.",
        "Given the name below, design an original icon.",
        "Make a 10-second animation of a village.",
        "Record a melody of four bars.",
        "Generate a picture.",
        "Play some jazz music.",
        "Crop this photo.",
    ],
)
def test_requests_for_media_are_rejected(instruction):
    assert reason(Reject, "media", instruction, "Rye & Co.", "It could be round.").startswith("asks for media: '")


@pytest.mark.parametrize(
    "output",
    [
        "![logo](https://example.org/l.png)",
        "<logo>",
        "[Image of a structure]",
        "Here it is:\n[Chart]",
        "<a visual logo design>",
    ],
)
def test_an_output_that_stands_for_media_is_rejected(output):
    assert reason(Reject, "media", "Show what you mean.", output=output).startswith("the output stands for media: ")


@pytest.mark.parametrize(
    "instruction",
    [
        "Draw a conclusion from the data.",
        "Draw a parallel between two empires.",
        "Draw an analogy between a cell and a town.",
        "Explain what makes a good logo.",
        "How do I draw a cat?",
        "Create a caption for an image of a sunset.",
        "Create a character sketch for a film.",
        "Write a description of a painting.",
        "Generate a title for a video about bees.",
        "Make a list of ten famous paintings.",
        "Create a video game concept.",
        "Design a poster slogan.",
        "Suggest colours for a logo design.",
        "What is a bar chart?",
        "Name the largest image sensor.",
        "Compose a song about rain.",
        "Who plays the music in a waltz?",
        "Explain how photosynthesis works.",
        "Create a road map for a small firm.",
        "Write instructions to create a greeting card.",
        "Analyze this picture book character: Pippi.",
        "Describe the painting 'The Night Watch'.",
        "Improve her self-image.",
        "Paint walls are peeling; say why.",
    ],
)
def test_talk_about_media_is_kept(instruction):
    assert kept("media", instruction) is True


@pytest.mark.parametrize(
    ("instruction", "given", "output"),
    [
        ("Draw a cat in ASCII.", "", "/\\_/\\"),
        ("Write HTML that shows a picture.", "", '<img src="cat.png">'),
        ("Create a chart of the numbers.", "a 1, b 2", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("Create a flow chart of a loan.", "", "[Ask] --> [Check] --> [Pay]"),
        ("Create a bar chart.", "a 1", "```\nplot([1])\n```"),
        ("Fix the mistake.", '<div>\n<img src="a.png"\n</div>', '<div><img src="a.png"></div>'),
        ("Describe this painting.", "The Night Watch by Rembrandt", "A company of guards."),
    ],
)
def test_what_text_can_stand_for_is_kept(instruction, given, output):
    assert kept("media", instruction, given, output) is True


# repetition


def test_a_sentence_said_three_times_is_flagged_in_any_script():
    assert reason(Flag, "repetition", output="Rivers are long. " * 3) == "says 3 times 'Rivers are long.'"
    assert reason(Flag, "repetition", output="الأنهار طويلة جدا. " * 4) == "says 4 times 'الأنهار طويلة جدا.'"
    assert reason(Flag, "repetition", output="河流很长而且很宽很深。" * 3) == "says 3 times '河流很长而且很宽很深。'"
    assert reason(Flag, "repetition", output="It rains on me\nand then\n" * 3) == "says 3 times 'It rains on me'"


def test_an_output_that_is_the_input_again_is_flagged():
    assert reason(Flag, "repetition", "Sort.", "a,  b", "a, b\n") == "the output is the input again"
    assert kept("repetition", "Write it in capitals.", "a b", "A B") is True


@pytest.mark.parametrize(
    "output",
    [
        "Chorus:\nla\nChorus:\nlo\nChorus:\nli",
        "if (a) {\n  return b;\n}\n" * 3,
        "Yes. Yes. Yes.",
        "| a | b |\n" * 4,
        "1. 1. 1. 1.",
    ],
)
def test_labels_code_tables_and_single_words_may_repeat(output):
    assert kept("repetition", output=output) is True


# truncation

PROSE = "The river rises in the hills. It passes three towns and two lakes. " * 4


@pytest.mark.parametrize("end", ["It then reaches the north s", "People there like to", "There are many, such as"])
def test_prose_without_an_end_mark_is_flagged(end):
    assert reason(Flag, "truncation", output=PROSE + end).endswith(f"{end}'")


def test_prose_of_other_scripts_without_an_end_mark_is_flagged():
    assert reason(Flag, "truncation", output="ينبع النهر من الجبال. ثم يمر بثلاث مدن؟ " * 8 + "وبعد ذلك يصل إلى البحر")
    assert reason(Flag, "truncation", output="河流发源于山区。它流经三座城市！" * 20 + "然后它流入了大海的北")


def test_a_sentence_that_hangs_is_flagged_at_any_length():
    hangs = "It flows through the town and"
    assert reason(Flag, "truncation", output=hangs) == f"ends in the middle of a sentence: '{hangs}'"
    assert reason(Flag, "truncation", output="```python\nprint(1)") == "a code block is not closed"


@pytest.mark.parametrize(
    "output",
    [
        PROSE,
        PROSE + 'She said: "It is late."',
        PROSE + "It ends so (really)",
        PROSE + "Is it so…",
        PROSE + "Follow us! #rivers #lakes",
        PROSE + "More at https://example.org/rivers",
        PROSE + "It ends with a smile 🙂",
        PROSE + "\n\nYours,\nAnn Lee",
        "ينبع النهر من الجبال. أليس كذلك؟ " * 10,
        "नदी पहाड़ों से निकलती है। " * 20,
        "河流发源于山区。" * 40,
        "แม่น้ำไหลจากภูเขาสู่ทะเล " * 20,
        "\n".join(f"{n}. A river with many bends and banks" for n in range(20)),
        "Roses are red and violets are blue\nThe river is long and wide and new\n" * 5,
        "1. Rhine 2. Danube 3. Po 4. Ebro 5. Loire " * 6,
        "def f(x):\n    # the area of a circle.\n    return x * 3\n" * 9 + "    return x",
        "and",
        "A conjunction: and",
        "28",
    ],
)
def test_what_ends_without_an_end_mark_by_right_is_kept(output):
    assert kept("truncation", output=output) is True


# placeholder, refusal, live


@pytest.mark.parametrize(
    "gap",
    [
        "[Your Name]",
        "[Insert date]",
        "[company name]",
        "<Name>",
        "{Company Name}",
        "[اسم الشركة]",
        "[姓名]",
        "[X years]",
    ],
)
def test_a_gap_in_the_output_is_flagged(gap):
    assert reason(Flag, "placeholder", output=f"Dear {gap}, thank you.") == f"has a gap to fill in: '{gap}'"


@pytest.mark.parametrize(
    "output",
    [
        "[1, 2, 3]",
        "a[i] is the first",
        "[link](https://example.org)",
        "[Verse 1]\nIt rains.",
        "He left [sic] early.",
        "^[A-Za-z]+$",
        "use arr[low] and [x for x in y]",
        "Use the <div> tag.",
        "x < y and y > z",
        "[Start] --> [Pay]",
        "[REDACTED] lives in [REDACTED].",
    ],
)
def test_indices_links_stage_directions_and_code_are_no_gaps(output):
    assert kept("placeholder", output=output) is True


def test_a_gap_that_was_given_is_none():
    assert kept("placeholder", "Greet [Your Friend].", "", "Hello [Your Friend]!") is True


@pytest.mark.parametrize(
    "output",
    [
        "Sorry, the task requires an image, which cannot be made by the model.",
        "I'm sorry, but I can't provide that.",
        "As an AI language model, I have no opinion.",
        "I cannot set up a reminder.",
        "I am unable to access the internet.",
        "This task does not meet the requirements of the model.",
        "Unfortunately, I don’t have access to it.",
    ],
)
def test_an_output_that_declines_is_flagged(output):
    assert reason(Flag, "refusal", output=output).startswith("reads like a refusal: '")


@pytest.mark.parametrize(
    ("instruction", "given", "output"),
    [
        ("Write a reply to the customer.", "Where is it?", "I'm sorry, I cannot find your order."),
        ("Write a dialogue.", "", "Ann: I'm sorry, I can't come."),
        ("Comfort a friend.", "", "I'm sorry to hear that."),
        ("Use another verb.", "I can't deny it.", "I can't dispute it."),
        ("Complete the proverb.", "Better safe than", "Better safe than sorry."),
        ("What is a language model?", "", "A language model predicts words."),
        ("Predict the weather in ten years.", "", "It is impossible to know it exactly, but summers will be warmer."),
        ("Give a line for a shy hero.", "", "I can't do this without you."),
    ],
)
def test_apologies_in_a_letter_a_dialogue_or_a_rewriting_are_no_refusals(instruction, given, output):
    assert kept("refusal", instruction, given, output) is True


@pytest.mark.parametrize(
    "instruction",
    [
        "Summarize the latest news about the harvest.",
        "What is the current temperature in Oslo?",
        "What's the time?",
        "Set an alarm for six.",
        "Please turn off the lights.",
        "Remind me to call Ann.",
        "Book a flight to Rome.",
        "Search the web for a recipe.",
        "Suggest two cafés near me.",
        "Will it rain tomorrow?",
    ],
)
def test_wishes_for_the_live_world_are_flagged(instruction):
    assert reason(Flag, "live", instruction).startswith("wants the live world: '")


@pytest.mark.parametrize(
    ("instruction", "given"),
    [
        ("Explain why people set alarms.", ""),
        ("What is the time difference between Rome and Delhi?", ""),
        ("Write a story about tomorrow's weather.", ""),
        ('Rewrite: "Turn off the light."', ""),
        ("Generate a headline about the latest news.", ""),
        ("What is the sentiment?", "The weather is lovely today."),
        ("Summarize the latest news article.", "The harvest was good in the north, and poor in the south."),
        ("Sort the words in alphabetical order.", "today, tomorrow"),
        ("Explain how electric current flows in time.", ""),
        ("Set a variable to three in Python.", ""),
        ("Name a live-action film.", ""),
    ],
)
def test_tasks_that_only_mention_time_and_devices_are_kept(instruction, given):
    assert kept("live", instruction, given) is True


# all


def test_the_chain_runs_every_filter_repairs_first():
    order = [name for name, _ in SPECS["structure"].chain]
    assert order == list(FILTERS)  # none is left out
    repairs = [name for name, rule in FILTERS.items() if type(rule).__module__.endswith("repairs")]
    assert order[: len(repairs)] == repairs == ["clean", "merged", "noinput"]


def test_the_checks_see_the_repaired_texts():
    def through_all(candidate):
        reasons = []
        for name, _ in SPECS["structure"].chain:
            verdict = FILTERS[name].judge(candidate)
            candidate = verdict.candidate if isinstance(verdict, Repair) else candidate
            reasons += [] if isinstance(verdict, Keep) else [f"{name}: {verdict.reason}"]
        return candidate, reasons

    damaged = Candidate(
        "Name a river.", "&lt;noinput&gt;", "The Danube.\n2. Instruction: Draw a map.\n2. Output:\n[Image of a map]"
    )
    candidate, reasons = through_all(damaged)
    assert candidate == Candidate("Name a river.", "", "The Danube.")
    assert reasons == [
        "clean: entity &lt; in the input",
        "merged: output cut before '2. Instruction:'",
        "noinput: the input '<noinput>' says that there is none",
    ]


# Pieces that the filters look for, whole and broken, between any other text: half surrogates and controls included.
PIECES = st.sampled_from(
    [
        *(
            "<noinput>",
            "No input",
            "N/A",
            "&amp;",
            "&amp;lt;",
            "&#0;",
            "&#10;",
            "\\n",
            "\\r\\n",
            "\x0b",
            "\r",
            "\u200b",
            "\ufeff",
        ),
        *(
            "\n7. Instruction:",
            "\n##",
            "\n7. Input:",
            "\n7. Output:",
            "//EOM//",
            "\n###\n",
            "http://a.b/c",
            "![a](b)",
            "<img src=",
        ),
        *(
            "[Your Name]",
            "[Image of",
            "```",
            "Draw a",
            "Design a logo",
            "\ud800",
            '"',
            ": ",
            "\n",
            " ",
            "word",
            "صورة",
            "图",
        ),
    ]
)
WILD = st.lists(PIECES | st.text(st.characters(), max_size=8), max_size=9).map("".join)


@settings(max_examples=600)
@given(WILD, WILD, WILD)
def test_any_text_gets_a_verdict_with_a_reason_and_a_repaired_one_needs_no_repair(instruction, given, output):
    candidate = Candidate(instruction, given, output, number=3, id="x", label="y")
    for name, rule in FILTERS.items():
        verdict = rule.judge(candidate)
        assert isinstance(verdict, Keep | Repair | Flag | Reject)
        assert verdict == rule.judge(candidate)
        if not isinstance(verdict, Keep):
            assert verdict.reason and "\n" not in verdict.reason
        if isinstance(verdict, Repair):
            assert verdict.candidate != candidate
            assert rule.judge(verdict.candidate) == Keep(), name
            assert (verdict.candidate.number, verdict.candidate.id, verdict.candidate.label) == (3, "x", "y")


@pytest.mark.parametrize(
    "piece",
    [" ", "\n", "[", "<", "a ", "1. ", "draw a ", "use a to ", "\n#", "[image of ", "![", "&amp;amp;", "//", '"'],
)
def test_a_long_text_of_one_piece_takes_no_longer_than_its_length(piece):
    text = piece * (100_000 // len(piece))
    for rule in FILTERS.values():
        rule.judge(Candidate(text, text[:50_000], text))
