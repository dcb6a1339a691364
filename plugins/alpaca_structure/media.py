"""Media: what a model of text can neither see nor make.

The English rules look for orders at the beginning of a sentence ("Design a logo", "can you draw …"), so that talk about
media ("Explain what a logo is", "How do I draw a cat?", "a video game") is kept.
"""

from __future__ import annotations

import re

from alpaca_core import Candidate, Keep, Reject, no_input
from alpaca_structure.texts import Rule, any_of, is_code, short


class Media(Rule):
    """Rejects tasks with media attached or missing, requests for media, and media as the output.

    What text can stand for is kept: a picture in ASCII, HTML or SVG, a chart that came out as a table, a list or code.
    """

    def judge(self, candidate: Candidate) -> Keep | Reject:
        instruction, given, output = candidate.instruction, candidate.input, candidate.output.strip()
        in_text = _IN_TEXT.search(instruction) is not None
        if not in_text:
            for text in (instruction, given):
                if (found := _ATTACHED.search(text)) and not is_code(_ATTACHED.sub("", text)):
                    return Reject(f"is about media that are not there: {short(found[0])}")
            if (not given.strip() or no_input(given)) and (found := _MISSING.search(instruction)):
                return Reject(f"is about media that are not there: {short(found[0])}")
            if (found := _SHOWN.search(output)) and not is_code(_SHOWN.sub("", output)):
                return Reject(f"the output stands for media: {short(found[0])}")
        if _STAND_IN.fullmatch(output):
            return Reject(f"the output stands for media: {short(output)}")
        if in_text or is_code(output) or _LAID_OUT.search(output):
            return Keep()
        found = _REQUEST.search(instruction)
        return Reject(f"asks for media: {short(found['what'])}") if found else Keep()


_IN_TEXT = re.compile(
    r"\b(?:ascii|text[- ]based|textual\w*|in (?:text|words)|html\w?|css|svg|xml|cod(?:e|ing)|python|java\w*"
    r"|latex|tikz|mermaid|graphviz|plantuml|emojis?|markdown|matplotlib|ggplot|programs?|functions?|scripts?"
    r"|algorithms?|web ?(?:page|site)s?|apps?|prompts?|tables?|data structures?|sql|api)\b",
    re.IGNORECASE,
)
_LAID_OUT = re.compile(
    r"\|[^|\n]*\||\S \| \S|-->|──|━━|^[ \t]*[|+][-=+| ]{3,}|^[ \t]*3[.)] ", re.MULTILINE
)  # tables, boxes and arrows, and a third item

_SEEN = any_of(
    r"""images? pictures? photos? photographs? screenshots? gifs? videos? audios? sketch(?:es)? drawings? illustrations?
    figures? charts? graphs? diagrams? recordings?"""
)
_MARKDOWN = r"!\[[^\]\n]{0,200}\]\([^)\n]{0,2000}\)?"
_TAG = r"<\s{0,3}(?:img|audio|video)\s[^>\n]{0,2000}>?"
# "[Image of a website]", "(attached image)", "<Picture Attached>", "[PICTURE]", "[Image 1]", "(Link to photo)".
_ATTACHED = re.compile(
    rf"{_MARKDOWN}|{_TAG}"
    rf"|[\[<(]\s{{0,3}}(?:(?:attached|insert(?:ed)?|link to|see|the|an?|your)\s{{1,3}}){{0,3}}{_SEEN}"
    r"(?:(?:\s{1,3}of\b|\s{0,3}:)[^\]>)\n]{0,300}|\s{0,3}(?:\d{1,2}|attached|here|below|inserted)?\s{0,3})[\]>)]",
    re.IGNORECASE,
)
_SHOWN = re.compile(
    rf"{_MARKDOWN}|{_TAG}"
    r"|[\[<]\s{0,3}(?:image|picture|photo|photograph|video|audio|drawing|illustration)s?\s(?:of|showing)\b[^\]>\n]{0,300}[\]>]"
    r"|[\[<](?:chart|graph|diagram|logo|image|picture|drawing)[\]>]",
    re.IGNORECASE,
)
_STAND_IN = re.compile(
    rf"[\[<][\w ,'/-]{{0,60}}\b(?:{_SEEN}|logos?|posters?|designs?|animations?|melody|music|visuali[sz]ations?)\b"
    r"[\w ,'/-]{0,60}[\]>]\.?",
    re.IGNORECASE,
)
# "Describe the following photo." with nothing after it; "this picture book" is none.
_MISSED = any_of(
    r"""images? pictures? photos? photographs? screenshots? gifs? videos? audio recordings? drawings? charts? graphs?
    diagrams? logos? paintings? artworks?"""
)
_MISSING = re.compile(
    r"\b(?:this|these|the (?:following|given|attached|provided|above)|an? (?:given|attached|provided))\s{1,3}"
    rf"(?:\w{{1,20}} )?{_MISSED}"
    r"(?=\s*[.?!:,;]?\s*\Z|[.,]? (?:and|to|in|so|with|using|by|into|as|of) [^:\"\n“]{1,120}\Z)",
    re.IGNORECASE,
)

_MADE = any_of(
    r"""logos? images? pictures? photos? photographs? posters? illustrations? drawings? paintings? portraits? icons?
    graphics? infographics? collages? animations? videos? gifs? murals? cartoons? wallpapers? thumbnails?
    renderings? wireframes? (?:album|book)_covers? audios? melod(?:y|ies) recordings? sound_effects?
    piece_of_(?:music|art) piano_pieces? tunes? charts? plots? flow-?charts? graphs? diagrams?
    (?:data_)?visuali[sz]ations? maps?"""
)
_MAKE = any_of(
    r"""design create make generate produce render record compose paint sketch draw build construct develop animate
    shoot prepare illustrate redesign provide show_me give_me plot present"""
)
# The thing that is made comes before any of these; and some of them make it another thing ("a character sketch").
_NOT_BETWEEN = any_of(
    r"""of for about to that which with in on from by as how why what is are or captions? characters? comedy mind road
    site story concept"""
)
_AFTER = any_of(
    r"""of for that which with in to from using based showing depicting representing given and or on about promoting
    illustrating outlining displaying featuring called named comparing describing explaining where by out output it"""
)
_BEGIN = (  # of a sentence or of an order in it
    r"(?:\A|[.!?:;\n]\s{1,3}|,\s{1,3}(?:then |and )?)(?:(?:please|kindly|now|automatically)\s{1,3}){0,2}"
    r"(?:(?:can|could|would|will) you (?:please )?"
    r"|(?:you|i) (?:need|have|want|would like|are asked|are required)(?: you)? to |us(?:e|ing) [^.?!\n]{1,80}? to )?"
)
_NOT_DRAWN = any_of(
    r"""conclusions? comparisons? parallels? distinctions? inferences? lessons? analog(?:y|ies) connections? attention
    contrasts? links? lines?_between crowd blank comic"""
)
_REQUEST = re.compile(
    rf"{_BEGIN}(?P<what>{_MAKE}\s{{1,3}}(?!{_NOT_BETWEEN}\b)(?:(?!{_NOT_BETWEEN}\b)[\w'’-]{{1,30}},?\s{{1,3}}){{0,5}}?{_MADE}"
    rf"(?: designs?| format)?(?=\s*[.?!:,;]?\s*\Z|[.]|[.,;:]?\s{{1,3}}{_AFTER}\b)"
    r"|(?:draw|sketch|doodle|paint)\s{1,3}(?:me |us )?(?:an?|the|two|three|some|your|this)\s{1,3}"
    rf"(?!(?:\w+\s{{1,3}}){{0,2}}{_NOT_DRAWN}\b)[\w-]{{1,30}}"
    r"|(?:edit|crop|retouch|resize|enhance|take)\s{1,3}(?:this|the|an?)\s{1,3}(?:\w{1,20} )?"
    r"(?:photos?|photographs?|images?|pictures?|videos?)\b(?! (?:captions?|descriptions?|titles?))"
    r"|play\s{1,3}(?:me )?(?:the |a |some |this )?(?:\w{1,20} ){0,2}?"
    r"(?:songs?|music|videos?|tracks?|albums?|podcasts?)\b)",
    re.IGNORECASE,
)
