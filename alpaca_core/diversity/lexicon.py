"""Words that the reading of English instructions knows: a small lexicon of our own.

Verbs are those that tell somebody to do something with a text, a question or a thing. A verb that is not here is
still found where a determiner follows it ("Alphabetize the names"), so the list need not be complete.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS = _words("""
    abbreviate abide abolish abridge absorb abstract accelerate accept access accommodate accompany accomplish account
    achieve acknowledge acquire act activate adapt add address adhere adjust administer adopt advertise advise
    advocate affirm aggregate aid align allocate allow alphabetize alter amend amplify analyze animate annotate
    announce anonymize answer anticipate apologize appeal append apply appoint appraise approach approve approximate
    arbitrate argue arrange articulate ascertain ask assemble assert assess assign assist associate assume assure
    attach attempt attend attribute audit augment authenticate author autocomplete automate average avoid award back
    bake balance base begin benchmark bet bind blend block blur boil book boost borrow brainstorm break breathe brew
    brief bring broaden browse bucket budget build bundle buy cache calculate calibrate call calm cancel capitalize
    caption capture care carry cast catalog catalogue categorize cause celebrate censor challenge change characterize
    chart chat check cheer choose chop circle cite claim clarify classify clean clear click climb cluster coach code
    coin collaborate collate collect color combine come comfort comment commit communicate compare compile complete
    compose compress compute concatenate conceive concentrate conceptualize conclude condense conduct configure
    confirm congratulate conjugate connect consider console consolidate construct consult contact contextualize
    continue contradict contrast contribute control convert convey convince cook copy copyedit correct correlate count
    counter cover crack craft create criticize critique crop cross cultivate curate customize cut date deal debate
    debug debunk decide decipher declare decline decode decompose deconstruct decorate decrease decrypt deduce deduct
    deduplicate defend define delete deliver demonstrate denote depict deploy derive describe design detail detect
    determine develop devise diagnose diagram dictate differentiate dig digitize dilute direct disable discard discern
    discover discriminate discuss display disprove dissect distill distinguish distribute divide do document doodle
    double download draft draw dream dress drill drink drive drop dub duplicate earn eat edit educate elaborate
    elevate elicit eliminate embed embody emphasize emulate enable encode encourage encrypt end engage engineer
    enhance enlarge enlist enquire enrich ensure enter entertain enumerate envision equate erase establish estimate
    evaluate examine excerpt exchange exclude execute exemplify expand explain explore export expose express extend
    extract extrapolate fabricate facilitate factor factorize familiarize fashion feed fetch figure file fill filter
    finalize find fine-tune finish fit fix flag flatten flesh flip focus fold follow forecast forge form format
    formulate foster frame freeze fry fulfill gather gauge generalize generate get ghostwrite give glue go grab grade
    graph greet grill group grow guess guide halve handle hang have head headline help hide highlight hire hyphenate
    hypothesize identify illustrate imagine imitate implement import impose improve improvise include incorporate
    increase increment index indicate infer influence inform infuse initialize initiate input inquire insert inspect
    inspire install instruct integrate interleave interpret interview introduce invent invert investigate invite
    isolate itemize iterate join joke jot judge justify juxtapose keep knit know label launch lay lead learn leave
    lemmatize lengthen let leverage liken limit line link list listen load localize locate look lookup lower maintain
    make manage manipulate map mark market mask master match maximize mean measure mediate meet melt memorize mend
    mention merge message migrate mimic minimize mix mock model moderate modernize modify monitor morph motivate mount
    move multiply mutate name narrate navigate negate negotiate nickname nominate normalize note notify number obtain
    offer omit open operate optimize orchestrate order organize outline output overcome oversee pack paint pair
    paraphrase parody parse partition pass paste patch pay peel pen perform permute personalize personify persuade
    phrase pick pinpoint pitch place plan plant play plot pluralize poeticize point polish ponder port portray pose
    post postulate pour practice praise predict prepare present preserve pretend prevent print prioritize process
    produce profile program project promote prompt pronounce proofread propose protect prove provide prune
    pseudonymize publish pull punch punctuate purchase put qualify quantify query question quiz quote raise randomize
    rank rap rate read realize rearrange reason reassure recall recap recast recategorize receive recite reckon
    recognize recommend recompose reconcile reconstruct record recount recover recreate rectify redact redefine
    redesign redo redraft reduce reevaluate refactor refer refine reflect reformat reformulate reframe refute regroup
    rehearse reheat reimagine reinforce reinterpret relate relocate remember remind remix remove rename render renew
    reorder reorganize repair repeat rephrase replace replicate reply report represent reproduce request require
    reread rescript rescue research reserve reshape resize resolve respond restate restore restrict restructure retain
    retell rethink retouch retrieve return reuse reveal reverse review revise reword rewrite rhyme roast romanize
    rotate round run sample satirize save say scaffold scale scan schedule score scramble scrape script search season
    section secure see seek segment select sell send separate sequence serve set settle sew shape share shift shorten
    shorthand shortlist show shrink shuffle sign simplify simulate sing sketch skip slice soften solve soothe sort
    sound speak specify speculate spell spice split spoof spot square stage standardize start state steer stem stir
    store strengthen stress strike strip structure study stylize sub-divide subdivide submit substitute subtitle
    subtract suggest sum summarize supply support suppose surprise survey swap switch syllabify symbolize synchronize
    synonymize synthesize tabulate tag tailor take talk tally teach tease tell test thank think throw tick tidy title
    tokenize total touch trace track train transcribe transform translate transliterate transpose traverse treat
    triage trim triple troubleshoot try tune turn tweak type uncover underline understand undertake unearth unify
    unlock unmask unravel unscramble update upgrade upload use utilize validate value vary vectorize verbalize verify
    view visit visualize voice vote wait walk warn wash watch water wear weigh welcome whisper win wish word work wrap
    write zip
""")

# Verbs with a small word that belongs to them: "come up with ideas" is about ideas. The longest match counts.
PARTICLES = {
    "act": ("out", "as"), "add": ("up",), "ask": ("for",), "back": ("up",), "break": ("down", "up"), "bring": ("up",),
    "build": ("up",), "call": ("out",), "carry": ("out",), "check": ("out", "for"), "clean": ("up",),
    "come": ("up with",), "cross": ("out", "check", "reference"), "cut": ("down", "out"), "double": ("check",),
    "draw": ("up",), "dream": ("up",), "elaborate": ("on", "upon"), "figure": ("out",), "fill": ("in", "out", "up"),
    "find": ("out",), "finish": ("off",), "flesh": ("out",), "follow": ("up",), "give": ("out", "back"),
    "jot": ("down",), "lay": ("out",), "leave": ("out",), "line": ("up",), "list": ("out", "down"),
    "look": ("up", "at", "for", "into"), "make": ("up",), "map": ("out",), "mark": ("up", "down"),
    "narrow": ("down",), "note": ("down",), "pick": ("out", "up"), "plan": ("out",), "point": ("out",),
    "print": ("out",), "pull": ("out",), "punch": ("up",), "put": ("together", "down"),
    "read": ("through", "out", "over"), "reverse": ("engineer",), "rule": ("out",), "search": ("for", "up"),
    "serve": ("up",), "set": ("up", "out"), "shorten": ("down",), "single": ("out",), "sort": ("out",),
    "spell": ("out", "check"), "split": ("up",), "sum": ("up",), "swap": ("out",), "switch": ("up", "out"),
    "take": ("out", "away"), "think": ("of", "about", "up"), "trim": ("down",), "try": ("out",), "turn": ("around",),
    "weed": ("out",), "work": ("out", "on"), "wrap": ("up",), "write": ("down", "out", "up"),
}  # fmt: skip

# Before the verb: said to be polite or to lead on.
FILLERS = _words("""
    please kindly now then next also additionally first firstly second secondly third finally lastly just simply
    always furthermore moreover further hi hello hey ok okay so and but again instead afterwards therefore
    alternatively together still once
""")

# Verbs that set the stage for the one that follows, in the same instruction or in its next sentence.
STAGING = _words("help imagine suppose pretend assume")
# Verbs that say how to answer a question: the question stays one.
ANSWERING = _words("answer respond reply use include keep limit choose select output consider assume")

QUESTION = _words("what who whom whose which when where why how")
AUXILIARY = _words("""
    is are was were am do does did can could will would shall should may might must has have had isn't aren't wasn't
    weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't hasn't haven't hadn't
""")
PRONOUNS = _words("""
    i you he she it we they me him her us them myself yourself himself herself itself ourselves themselves mine yours
    hers ours theirs this that these those who whom which what whoever whatever something anything everything nothing
    someone anyone everyone everybody somebody anybody nobody none one ones each either neither both all some any
    another others other few many much more most several such
""")
# To whom: "give me a list", "tell us the answer".
RECIPIENTS = _words("me us them him her you yourself myself someone somebody everyone")
NUMBERS = _words("""
    one two three four five six seven eight nine ten eleven twelve thirteen fifteen twenty thirty fifty hundred
    thousand dozen
""")
DETERMINERS = NUMBERS | _words("""
    a an the this that these those my your his her its our their some any every each all both several many few no
    another such either neither enough various certain whichever
""")
PREPOSITIONS = _words("""
    about above across after against along alongside amid among amongst around as at before behind below beneath
    beside besides between beyond by despite down during except for from given in including inside into like near of
    off on onto opposite out outside over past per regarding concerning since than through throughout till to toward
    towards under underneath until unto unlike up upon versus via vs with within without according based such
    depending following considering assuming using containing featuring involving
""")
# Where a noun phrase ends besides: relatives, conjunctions, finite verbs, and words that stand behind their noun.
ENDS = _words("""
    nearby that which who whom whose when where why how whether if because so while though although unless once then
    is are was were be been being am do does did can could will would shall should may might must has have had and or
    but nor plus please here there below above online aloud together apart again instead also too not more less only
    well better best correctly accordingly properly today yet alone based given called named titled entitled provided
    mentioned listed shown described written made used needed required involved related associated found look sound
    seem appear become sounds seems appears becomes feel using containing consisting describing explaining showing
    including listing expressing comparing discussing asking having regarding ranging starting ending beginning
    relating pertaining introducing featuring detailing telling reflecting depicting summarizing outlining
    highlighting representing promoting announcing inviting encouraging addressing giving saying making going taking
    looking trying working living wearing playing standing sitting talking according following
""")
# What stands behind its noun, where a phrase or nothing follows: "the words spoken by her". Those in -ed need no list.
PARTICIPLES = _words("""
    spoken written made found given seen taken known shown drawn grown born built held left kept sent told thought
    chosen broken hidden driven eaten sold bought worn sung
""")
# Ends of a noun phrase that are words of their own kind before a noun: "the past tense", "a more concise text".
MODIFIERS = _words("""
    past like inside outside near opposite above below given following more less only well better best alone today
    online such based provided listed named titled entitled mentioned described written made used needed required
    involved related associated found shown working living playing standing sitting talking speaking according missing
    looking starting ending beginning underlying outstanding existing over under plus feel sound look using
""")
ADJECTIVES = _words("""
    accurate active actual additional adjacent alternate appropriate attractive available bad basic beautiful best
    better big bigger bilingual bold brief bright broad busy calm capable casual catchy central certain cheap cheerful
    clean clear clever close coherent cold comfortable common complete complex concise concrete consistent cool
    correct crazy creative crisp critical cruel current cute dark declarative deep dense detailed different difficult
    direct distinct double dry due easier easy effective efficient eighth elegant emotional engaging entire equal
    exact exciting fair false famous fancy fast fictional fifth final fine first formal fourth free fresh friendly
    full fun funny gender-neutral general generic gentle good grammatical great happy hard healthy heavy high honest
    hot huge humorous ideal imaginary important incorrect informal informative inspiring interesting interrogative
    italic joyful key kind large last late latest lazy lengthy light likely little local logical long longer loud
    lovely low lower lowercase loyal main major meaningful memorable mild minor modern multiple natural nearby neat
    necessary negative neutral new next nice ninth noisy novel nuclear objective odd old older open optimal ordinary
    original own passive perfect persuasive physical plain pleasant plural poetic polite poor popular positive
    possessive possible potential powerful precise pretty previous professional proper proud quick quiet random rare
    raw ready real realistic recent regular relevant reliable remaining rich right rough rude sad safe same scary
    second secure sensible separate serious seventh sharp short shorter significant silly similar simple simpler
    single singular sixth slow small smaller smart smooth soft solar special specific spooky stable standard strange
    strict strong stronger subtle successful suitable sure sweet tall tasty tenth thin third tiny top torn traditional
    trendy true typical unhappy unique unknown unusual upbeat upper uppercase useful vague valid various vibrant vivid
    warm weak wet whole wide wild wise witty wordy wrong yes young
""")
# Endings that make an adjective, and the nouns and verbs that have them.
ADJECTIVAL = ("ful", "ous", "ive", "able", "ible", "al", "ic", "ish", "less", "ant", "ent", "ing", "ed", "est")
NOMINAL = _words("""
    narrative adjective archive objective alternative directive perspective initiative incentive detective native
    table variable vegetable proposal journal animal meal goal signal material manual tutorial email festival hospital
    capital total ritual trial editorial topic music graphic comic logic metric statistic traffic characteristic
    critic lyric student president element argument event sentiment content comment component parent agent accident
    client talent restaurant plant participant consonant want assistant giant speed seed need feed breed deal
    principal individual criminal professional mammal crystal mineral cereal interval portal terminal fabric clinic
    republic public academic finish dish fish wish publish english test request forest interest contest quest guest
    nest rest chest harvest protest best mnemonic acrostic cosmetic arithmetic present patent incident percent tent
    accent ingredient gradient quotient continent antecedent
""")
# Second parts of compounds that are adjectives: "user-friendly", "three-digit".
COMPOUND_ADJECTIVES = _words("""
    uppercase lowercase negative double active passive italic small bigger smaller tiny ordinary loyal gentle noisy
    rude kind fair cruel cute proud unhappy torn open wide interrogative possessive declarative gender-neutral
    bilingual plural singular friendly based related driven like term level free digit letter word line step star
    sentence item page point minute hour day week month year old time person part dimensional syllable powered
    oriented themed style size sized quality known written made class world end party column row course player choice
    ended paced life sided speaking looking tech demand site house hand fiction risk priority stakes profile
    performance speed resolution definition
""")
# Nouns in -ing that may follow another noun: "machine learning" is one thing, "a letter asking" is not.
NOUNS_IN_ING = _words("""
    advertising banking being blogging branding briefing budgeting building caching camping ceiling clothing computing
    cooking cycling drawing encoding ending engineering evening farming feeling fishing gaming greeting heading
    hearing heating hiking hosting housing king landing learning lighting listing mapping marketing meaning meeting
    mining mixing modeling modelling morning networking offering onboarding opening outing painting pairing parenting
    parsing phrasing planning pricing processing programming ranking rating reading recycling rhyming ring running
    saving savings saying scheduling setting shopping sorting spelling spring string swimming swing testing thing
    thinking timing tracking trading training understanding volunteering warming warning wedding wing wording writing
""")
# Singulars that no rule gives.
IRREGULAR = {
    "children": "child", "men": "man", "women": "woman", "feet": "foot", "teeth": "tooth", "mice": "mouse",
    "geese": "goose", "criteria": "criterion", "phenomena": "phenomenon", "analyses": "analysis",
    "hypotheses": "hypothesis", "theses": "thesis", "syntheses": "synthesis", "synopses": "synopsis",
    "crises": "crisis", "bases": "base", "axes": "axis", "oases": "oasis", "indices": "index", "matrices": "matrix",
    "vertices": "vertex", "appendices": "appendix", "lives": "life", "wives": "wife", "knives": "knife",
    "leaves": "leaf", "halves": "half", "shelves": "shelf", "thieves": "thief", "wolves": "wolf", "selves": "self",
    "buses": "bus", "bonuses": "bonus", "viruses": "virus", "gases": "gas", "lenses": "lens", "statuses": "status",
    "campuses": "campus", "choruses": "chorus", "biases": "bias", "canvases": "canvas", "atlases": "atlas",
    "aliases": "alias", "quizzes": "quiz", "shoes": "shoe", "toes": "toe", "canoes": "canoe", "caches": "cache",
    "headaches": "headache", "aches": "ache", "axises": "axis", "movies": "movie", "cookies": "cookie",
    "calories": "calorie", "zombies": "zombie", "selfies": "selfie", "smoothies": "smoothie", "brownies": "brownie",
    "hoodies": "hoodie", "ties": "tie", "pies": "pie", "lies": "lie", "genies": "genie", "prairies": "prairie",
    "haikus": "haiku", "menus": "menu", "gurus": "guru", "emojis": "emoji", "kiwis": "kiwi", "taxis": "taxi",
    "safaris": "safari", "alibis": "alibi", "wikis": "wiki", "people": "person",
}  # fmt: skip
ENDING_IN_S = _words("""
    news lens gas bus series species corps chaos basis canvas bias atlas alias pants scissors thanks congratulations
    diabetes christmas always perhaps plus yes css aws ios dns sms https
""")
PLURALS_IN_ICS = _words("""
    topics comics lyrics metrics critics characteristics clinics fabrics graphics infographics demographics picnics
    mechanics relics epics classics heuristics
""")

# English and its neighbours in the same script: words that other languages share with English, and words that are
# theirs alone, a line or two for each of Spanish, French, German, Portuguese, Italian, Dutch, Indonesian, Swahili,
# Turkish, Vietnamese, Tagalog, the Scandinavian languages, Polish and Romanian, and numbers.
SHARED = _words("""
    a an in on no do me so as at or to i am die was hat man war den des en he has had son come per compare describe
    imagine propose combine note explore invite cite organize formulate prepare analyze use data general real total
    plan test list lists start film drama may pour like over under by us dare male more fine sale time observe
""")
FOREIGN = _words("""
    el la los las una unos unas del al para por con que cómo qué cuál y sobre entre como esta este estos
    le les une du et dans avec sur est qui ce cette ces votre aux vos
    der das dem ein eine einen einem eines und für mit von nicht auf ist wie zu im oder über
    os uma um não da dos ao seu sua em
    il di che gli della delle dei sono lo nel degli
    het een van de voor naar zijn ook
    yang dan untuk dengan dari ini itu sebuah adalah tentang
    ya wa kwa katika hii ni
    bir ve için olarak
    và của cho một
    ang ng mga sa
    og det som av för och att är på jest się na oraz
    un drei zwei vier fünf trois deux quatre cinq tres cuatro cinco tre due drie
    twee três quatro pentru din și ett ei
""")
