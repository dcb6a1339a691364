"""The closed word lists of the practice tasks: small on purpose, so that the student meets every word often."""

from __future__ import annotations

NAMES = tuple(
    "Ana Ben Carla David Emma Felix Grace Hugo Iris Jack Kira Leo Maya Noah Olga Paul Rosa Sam Tina Victor".split()
)

JOBS = tuple("baker nurse teacher farmer pilot lawyer singer painter driver plumber doctor writer".split())

DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())

# Things to put in a list, to own and to count: singular to plural.
THINGS = {
    "apple": "apples",
    "basket": "baskets",
    "blanket": "blankets",
    "boot": "boots",
    "bottle": "bottles",
    "candle": "candles",
    "carrot": "carrots",
    "chair": "chairs",
    "clock": "clocks",
    "coat": "coats",
    "cup": "cups",
    "desk": "desks",
    "drum": "drums",
    "egg": "eggs",
    "fork": "forks",
    "glove": "gloves",
    "hammer": "hammers",
    "hat": "hats",
    "kite": "kites",
    "lamp": "lamps",
    "lemon": "lemons",
    "melon": "melons",
    "mirror": "mirrors",
    "onion": "onions",
    "orange": "oranges",
    "pear": "pears",
    "plate": "plates",
    "plum": "plums",
    "ribbon": "ribbons",
    "shirt": "shirts",
    "spoon": "spoons",
    "table": "tables",
}

CAPITALS = {
    "Austria": "Vienna",
    "Canada": "Ottawa",
    "Chile": "Santiago",
    "China": "Beijing",
    "Cuba": "Havana",
    "Denmark": "Copenhagen",
    "Egypt": "Cairo",
    "Finland": "Helsinki",
    "France": "Paris",
    "Germany": "Berlin",
    "Ghana": "Accra",
    "Greece": "Athens",
    "Hungary": "Budapest",
    "Iraq": "Baghdad",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Peru": "Lima",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Spain": "Madrid",
    "Thailand": "Bangkok",
}
CITIES = tuple(CAPITALS.values())

OPPOSITES = {
    "big": "small",
    "brave": "cowardly",
    "cheap": "expensive",
    "clean": "dirty",
    "deep": "shallow",
    "early": "late",
    "easy": "difficult",
    "fast": "slow",
    "full": "empty",
    "happy": "sad",
    "hard": "soft",
    "high": "low",
    "hot": "cold",
    "light": "dark",
    "loud": "quiet",
    "near": "far",
    "new": "old",
    "open": "closed",
    "rich": "poor",
    "rough": "smooth",
    "strong": "weak",
    "sweet": "bitter",
    "tall": "short",
    "thick": "thin",
    "true": "false",
    "wet": "dry",
    "wide": "narrow",
}

# What people do again and again: plain form, third person, past, and what follows the verb.
HABITS = (
    ("bake", "bakes", "baked", "bread"),
    ("build", "builds", "built", "kites"),
    ("clean", "cleans", "cleaned", "the kitchen"),
    ("cook", "cooks", "cooked", "soup"),
    ("dance", "dances", "danced", "the tango"),
    ("drink", "drinks", "drank", "tea"),
    ("eat", "eats", "ate", "rice"),
    ("feed", "feeds", "fed", "the ducks"),
    ("paint", "paints", "painted", "old boats"),
    ("play", "plays", "played", "chess"),
    ("ride", "rides", "rode", "a bicycle"),
    ("sell", "sells", "sold", "honey"),
    ("sing", "sings", "sang", "old songs"),
    ("speak", "speaks", "spoke", "French"),
    ("study", "studies", "studied", "history"),
    ("swim", "swims", "swam", "in the lake"),
    ("take", "takes", "took", "the bus"),
    ("teach", "teaches", "taught", "yoga"),
    ("walk", "walks", "walked", "to the station"),
    ("water", "waters", "watered", "the garden"),
    ("write", "writes", "wrote", "letters"),
)
OFTEN = (
    *(f"every {day}" for day in DAYS),
    "every morning",
    "every evening",
    "after lunch",
    "before dinner",
    "in summer",
    "in winter",
    "at night",
)

# What one person did to another: past, and the participle for the passive.
DEEDS = {
    "followed": "followed",
    "greeted": "greeted",
    "helped": "helped",
    "noticed": "noticed",
    "paid": "paid",
    "praised": "praised",
    "saw": "seen",
    "stopped": "stopped",
    "thanked": "thanked",
    "warned": "warned",
}
PLACES = (
    "at the market",
    "at the station",
    "at school",
    "at work",
    "in the park",
    "in the garden",
    "in town",
    "on the bridge",
    "near the lake",
    "outside the museum",
)
ONCE = (*(f"on {day}" for day in DAYS), "yesterday", "last week", "this morning", "at noon", "in May")

GOT = tuple("bought sold found lost packed borrowed cleaned carried painted ordered".split())

EVENTS = tuple("concert picnic wedding party meeting dinner lecture parade fair reunion".split())

# Reviews: what was visited, the parts of it, and what was said of them.
SHOWS = ("film", "play", "hotel", "museum", "concert", "tour", "course", "dinner", "trip", "festival")
PARTS = ("staff", "mood", "start", "ending", "guide", "service", "place", "crowd")
PRAISE = tuple("wonderful great excellent lovely fantastic pleasant brilliant charming superb perfect".split())
BLAME = tuple("terrible awful boring dreadful horrible disappointing unpleasant tedious dull bad".split())

MAIL_HOSTS = ("mail", "post", "inbox", "office", "studio", "garden")
MAIL_ENDS = ("com", "org", "net")

VEHICLES = ("train", "bus", "ferry", "plane", "tram", "boat")

# Who asks, and what for: the opening sentences of tasks that carry their data as an input.
ERRANDS = (
    "preparing a quiz",
    "planning a lesson",
    "writing a report",
    "checking some homework",
    "learning English",
    "practicing for a test",
    "making a poster",
    "printing a leaflet",
    "tidying up old notes",
    "building a word game",
    "filling a notebook",
    "editing a newsletter",
    "working on a website",
    "studying at the library",
    "training a new colleague",
    "testing a small robot",
)
ASKERS = (
    "an artist",
    "a student",
    "a friend",
    "a tutor",
    "a clerk",
    "a reporter",
    "a librarian",
    "a neighbor",
    "a coach",
    "an intern",
    "a manager",
    "a volunteer",
)
