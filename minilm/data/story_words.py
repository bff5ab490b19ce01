"""The cast of the stories: people, jobs, places, things, and the forms they are written in.

Every word list is a tuple, in a fixed order, because the order decides which word a random
number stands for: adding a word changes every text that is generated.
"""

from types import SimpleNamespace


class Entity(SimpleNamespace):
    """One member of the cast: `text` is how it is written plainly, other attributes are its forms.

    `key` says which members exclude each other within one story: a story has no two lanterns.
    """

    def __str__(self) -> str:
        return str(self.text)


def _with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _person(name: str, pronouns: str) -> Entity:
    she, her, him = pronouns.split()
    return Entity(
        key=name, text=name, she=she, her=her, him=him, She=she.capitalize(), Her=her.capitalize()
    )


def _word(text: str) -> Entity:
    return Entity(key=text, text=text, a=_with_article(text))


def _thing(adjective: str, noun: str) -> Entity:
    full = f"the {adjective} {noun}"
    return Entity(
        key=noun,
        text=f"the {noun}",
        noun=noun,
        one=_with_article(noun),
        bare=f"{adjective} {noun}",
        a=_with_article(f"{adjective} {noun}"),
        full=full,
        Full=full.capitalize(),
    )


def _place(where: str) -> Entity:
    preposition, noun = where.split()
    at = f"{preposition} the {noun}"
    return Entity(key=noun, text=f"the {noun}", at=at, At=at.capitalize())


def _job(name: str, where: str) -> Entity:
    place = _place(where)
    return Entity(key=name, text=name, place=place.text, at=place.at)


def _spot(where: str) -> Entity:
    preposition, noun = where.split()
    return Entity(key=noun, text=f"{preposition} a {noun}", the=f"{preposition} the {noun}")


def _task(verb: str, thing: str, done: str) -> Entity:
    plural = thing.endswith("s") and not thing.endswith("ss")
    return Entity(
        key=thing, text=f"{verb} the {thing}", done=f"the {thing} {'were' if plural else 'was'} {done}"
    )


def _weather(adjective: str, noun: str, did: str) -> Entity:
    return Entity(key=noun, text=adjective, a=_with_article(adjective), noun=noun, did=did)


def _people(women: str, men: str) -> tuple[Entity, ...]:
    return (
        *(_person(name, "she her her") for name in women.split()),
        *(_person(name, "he his him") for name in men.split()),
    )


HEROES = _people("Ada Elsa Mira Rosa", "Bruno Emil Hugo Otto")
FRIENDS = _people("Anna Greta Lena Thea", "Carl Leo Oscar Simon")
OTHERS = _people("Edith Ida Nora", "Felix Martin Tom")

JOBS = (
    _job("baker", "in bakery"),
    _job("carpenter", "in workshop"),
    _job("farmer", "in barn"),
    _job("fisher", "in boathouse"),
    _job("gardener", "in greenhouse"),
    _job("innkeeper", "at inn"),
    _job("miller", "at mill"),
    _job("sailor", "in cabin"),
    _job("shepherd", "in hut"),
    _job("smith", "at forge"),
    _job("teacher", "at school"),
    _job("weaver", "in cottage"),
)

PLACES = tuple(
    _place(where)
    for where in (
        "on beach", "on bridge", "in cave", "at chapel", "on cliff", "at crossroads",
        "at ferry", "in forest", "by fountain", "at gate", "on hill", "by lake",
        "in orchard", "in park", "by pond", "by river", "in square", "at station",
        "in tower", "in vineyard", "by well",
    )
)  # fmt: skip

def _things(*adjectives_of_nouns: tuple[str, str]) -> tuple[Entity, ...]:
    return tuple(
        _thing(adjective, noun)
        for adjectives, nouns in adjectives_of_nouns
        for adjective in adjectives.split()
        for noun in nouns.split()
    )


THINGS = _things(
    ("brass copper iron rusty", "bell kettle key lantern"),
    ("carved oak painted wooden", "box drum flute stool"),
    ("patched silk striped woollen", "blanket coat hat scarf"),
)

GIFTS = _things(
    ("dusty old thick torn", "book letter map picture"),
    ("clay glass tiny white", "cup jar jug vase"),
)

PETS = tuple(
    _thing(adjective, noun)
    for adjective in "black brown grey spotted".split()
    for noun in "cat dog donkey goat goose hen lamb pony".split()
)

# Where things lie out of doors, and in the house.
SPOTS = tuple(
    _spot(where)
    for where in (
        "behind barrel", "on bench", "under bush", "beside cart", "beside ditch", "behind fence",
        "on log", "under plank", "on stone", "under tree", "on wall", "near puddle",
    )
)  # fmt: skip

NOOKS = tuple(
    _spot(where)
    for where in "on shelf|under table|behind door|beside bed|near stove|on chair".split("|")
)

TASKS = tuple(
    _task(verb, thing, done)
    for verb, things, done in (
        ("carry", "stones wood", "carried"),
        ("cut", "grass hedge", "cut"),
        ("feed", "calves horses", "fed"),
        ("mend", "nets roof", "mended"),
        ("paint", "boat walls", "painted"),
        ("pick", "apples plums", "picked"),
        ("sweep", "floor stairs", "swept"),
        ("wash", "windows wool", "washed"),
    )
    for thing in things.split()
)

WEATHERS = (
    _weather("foggy", "fog", "hung"),
    _weather("frosty", "frost", "lay"),
    _weather("misty", "mist", "drifted"),
    _weather("rainy", "rain", "fell"),
    _weather("snowy", "snow", "fell"),
    _weather("stormy", "storm", "raged"),
    _weather("sunny", "sun", "shone"),
    _weather("windy", "wind", "blew"),
)

TIMES = tuple(
    Entity(key=time, text=time, end=end)
    for time, end in (("morning", "evening"), ("afternoon", "nightfall"), ("evening", "midnight"))
)

TRAITS = tuple(
    map(_word, "brave busy careful cheerful clever gentle kind patient proud quiet shy young".split())
)

MOODS = tuple(map(_word, "afraid angry anxious nervous puzzled sad unhappy upset worried".split()))

BONDS = tuple(map(_word, "cousin friend helper neighbour teacher".split()))

JOYS = tuple(
    map(
        _word,
        "birds cheese chess dancing flowers honey music riddles ships songs stars winter".split(),
    )
)

# Which list each slot of a story is filled from.
CAST: dict[str, tuple[Entity, ...]] = {
    "hero": HEROES,
    "friend": FRIENDS,
    "other": OTHERS,
    "job": JOBS,
    "trade": JOBS,
    "first": PLACES,
    "second": PLACES,
    "third": PLACES,
    "thing": THINGS,
    "gift": GIFTS,
    "pet": PETS,
    "spot": SPOTS,
    "nook": NOOKS,
    "task": TASKS,
    "weather": WEATHERS,
    "time": TIMES,
    "trait": TRAITS,
    "mood": MOODS,
    "bond": BONDS,
    "joy": JOYS,
}
