"""The cast of the stories: people, places, things, and the forms they are written in.

Every list is a tuple, in a fixed order, because the order decides which word a random number
stands for: adding a word changes every text that is generated.
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


def _word(text: str) -> Entity:
    return Entity(key=text, text=text, a=_with_article(text))


def _place(where: str) -> Entity:
    preposition, noun = where.split()
    at = f"{preposition} the {noun}"
    return Entity(key=noun, text=f"the {noun}", at=at, At=at.capitalize())


def _spot(where: str) -> Entity:
    preposition, noun = where.split()
    return Entity(key=noun, text=f"{preposition} a {noun}", the=f"{preposition} the {noun}")


def _task(verb: str, thing: str, done: str) -> Entity:
    return Entity(
        key=verb, text=f"{verb} the {thing}", noun=f"the {thing}", done=f"the {thing} {done}"
    )


def _person(pronouns: str, name: str, **forms: str) -> Entity:
    she, her = pronouns.split()
    return Entity(
        key=name,
        text=name,
        she=she,
        her=her,
        She=she.capitalize(),
        Her=her.capitalize(),
        **forms,
    )


def _worker(pronouns: str, name: str, job: str, where: str) -> Entity:
    place = _place(where)
    return _person(pronouns, name, job=job, place=place.text, at=place.at)


def _things(adjectives: str, nouns: str) -> tuple[Entity, ...]:
    return tuple(
        Entity(
            key=noun,
            text=f"the {noun}",
            The=f"The {noun}",
            noun=noun,
            one=_with_article(noun),
            bare=f"{adjective} {noun}",
            a=_with_article(f"{adjective} {noun}"),
            full=f"the {adjective} {noun}",
            Full=f"The {adjective} {noun}",
        )
        for adjective in adjectives.split()
        for noun in nouns.split()
    )


# Everybody who works has one place to work: whoever remembers the person knows the place.
HEROES = (
    _worker("she her", "Ada", "baker", "in bakery"),
    _worker("she her", "Elsa", "farmer", "in barn"),
    _worker("she her", "Mira", "miller", "at mill"),
    _worker("she her", "Rosa", "sailor", "in cabin"),
    _worker("he his", "Bruno", "cook", "in kitchen"),
    _worker("he his", "Emil", "gardener", "in greenhouse"),
    _worker("he his", "Hugo", "shepherd", "in hut"),
    _worker("he his", "Otto", "weaver", "in cottage"),
)

FRIENDS = (
    _worker("she her", "Anna", "smith", "at forge"),
    _worker("she her", "Greta", "teacher", "at school"),
    _worker("she her", "Lena", "doctor", "in tower"),
    _worker("she her", "Thea", "painter", "in attic"),
    _worker("he his", "Carl", "carpenter", "in workshop"),
    _worker("he his", "Leo", "fisher", "in boathouse"),
    _worker("he his", "Oscar", "innkeeper", "at inn"),
    _worker("he his", "Simon", "tailor", "in shop"),
)

OTHERS = (
    *(_person("she her", name) for name in ("Edith", "Ida", "Nora")),
    *(_person("he his", name) for name in ("Felix", "Martin", "Tom")),
)

PLACES = tuple(
    _place(where)
    for where in (
        "on beach", "on bridge", "at chapel", "in forest", "by fountain", "at gate",
        "by lake", "in orchard", "in park", "by river", "at station", "by well",
    )
)  # fmt: skip

THINGS = (
    *_things("brass copper rusty silver", "key lantern"),
    *_things("carved oak painted wooden", "drum flute"),
    *_things("patched silk striped woollen", "coat scarf"),
)

GIFTS = (
    *_things("dusty old thick torn", "book letter map"),
    *_things("clay glass tiny white", "cup jar vase"),
)

PETS = _things("black brown grey spotted", "cat dog donkey goat goose pony")

# Where things lie out of doors, and in the house.
SPOTS = tuple(
    _spot(where)
    for where in (
        "behind barrel", "on bench", "under bush", "beside cart",
        "beside fence", "on stone", "under tree", "behind wall",
    )
)  # fmt: skip

NOOKS = tuple(
    _spot(where) for where in ("beside bed", "behind door", "on shelf", "near stove", "under table")
)

TASKS = (
    _task("chop", "wood", "was chopped"),
    _task("cut", "grass", "was cut"),
    _task("feed", "calves", "were fed"),
    _task("mend", "nets", "were mended"),
    _task("paint", "boat", "was painted"),
    _task("pick", "apples", "were picked"),
    _task("sweep", "floor", "was swept"),
    _task("wash", "windows", "were washed"),
)

WEATHERS = tuple(
    Entity(key=noun, text=adjective, a=_with_article(adjective), noun=noun, did=did)
    for adjective, noun, did in (
        ("foggy", "fog", "hung"),
        ("rainy", "rain", "fell"),
        ("snowy", "snow", "fell"),
        ("stormy", "storm", "raged"),
        ("sunny", "sun", "shone"),
        ("windy", "wind", "blew"),
    )
)

TIMES = tuple(
    Entity(key=time, text=time, end=end)
    for time, end in (("morning", "evening"), ("afternoon", "nightfall"), ("evening", "midnight"))
)

TRAITS = tuple(map(_word, "brave busy cheerful clever gentle kind proud quiet shy young".split()))

MOODS = tuple(map(_word, "afraid angry nervous puzzled sad worried".split()))

BONDS = tuple(map(_word, "cousin friend helper neighbour".split()))

JOYS = tuple(map(_word, "cheese chess dancing flowers honey music ships songs".split()))

# Which list each slot of a story is filled from.
CAST: dict[str, tuple[Entity, ...]] = {
    "hero": HEROES,
    "friend": FRIENDS,
    "other": OTHERS,
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
