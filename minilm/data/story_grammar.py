"""The stories that minilm tells, as templates; `story_source` explains their four marks.

Each plot lets a hero introduce people, places and things, and needs them again some sentences
later. A model that remembers them writes what must come; one that sees a few words back guesses.
"""

from functools import cache

from minilm.data.story_source import Grammar
from minilm.data.story_words import CAST

OPENING = (
    "One <weather> <time> <hero> the <trait> <job>, who [loved|liked] <joy>,",
    """There was once <trait.a> <job> named <hero>, who [dreamed of|loved] <joy>.
    One <weather> <time> {she}""",
    """In a @dull [town|village] [by the sea|near the city|far away] lived
    <trait.a> <job> named <hero>. {She} [talked of|loved] <joy>.
    On <weather.a> <time> {she}""",
)

PLOTS = (
    # An errand: a thing goes to somebody's place of work.
    """set out to bring <thing.a> to {her} <bond> <friend> the <trade>.
    [{friend} had [always wanted|asked for] {thing.one}|Nobody knew why {friend} needed it].
    @scene
    <first.At> {she} met <other>, who was @busy.
    {other} asked [what {she} was carrying|where {she} was going],
    [so|and] {she} [showed {other} {thing.full}|spoke of {friend} and {thing}].
    @gossip
    @Then @eagerly @went to {trade.place}.
    {friend} @eagerly [took|held|turned] {thing} and [smiled|laughed|nodded].
    [To thank {him}, {friend} gave {hero}|In return {hero} was given] <gift.a>.
    @Then @eagerly [carried|took|brought] {gift} @way home.""",
    # Something is left behind: where, and beside whom?
    """took <thing.a> and @went to <first>.
    There {she} [put|laid|set|left] {thing} <spot>
    and [helped|stopped to help] <friend> <task>.
    @scene
    [When|As soon as] {task.done}, {she} @eagerly @went to <second>.
    There {she} [saw|noticed|found] that {thing} was [gone|missing]. {hero} was <mood>.
    {She} asked <other>, who was @busy, but {other} had seen no {thing.noun}.
    @gossip
    [Then|Suddenly] {she} remembered how {she} had helped {friend} {task},
    and {she} @eagerly @went back to {first}.
    {thing.Full} was still {spot.the}[.|, under @creatures.]
    [{hero} laughed|{She} picked it up] and was no longer {mood}.""",
    # A pet has run away.
    """noticed that {her} <pet.bare> was gone.
    [The gate|A window|The back door] of {job.place} stood open.
    {hero} was <mood>, for {she} loved {pet} [dearly|very much|more than anything].
    @First @eagerly looked <first.at>, but {she} found only <thing.a>.
    @scene
    @Then @went to <second>, where <friend> was @busy.
    @talk
    {friend} had [heard|seen] {pet.one} <third.at>[.|, not long ago.|, an hour ago.]
    Together they @eagerly @went to {third}.
    There stood {pet.full} <spot>, [[wet|hungry|tired] and [dirty|happy|sleepy]|watching @creatures].
    {hero} @eagerly [hugged|kissed|stroked] {pet} and was no longer {mood}.
    [As thanks|For this help] {friend} was given {thing} that had lain {first.at}.""",
    # Something is lost, and nobody must hear of it.
    """could not find {her} <thing.bare>.
    {She} was <mood>, because it had been a gift from {her} <bond> <friend>.
    @First @eagerly [looked|searched] <first.at>, but {she} found only @creatures.
    @scene
    [Luckily|By chance] <other> the <trade> had found {thing.one} <second.at>
    and had taken it to {trade.place}.
    [When {she} heard this|As soon as {she} knew], {hero} @eagerly @went to {trade.place}.
    {other} was @busy, but @eagerly [gave|handed] {thing.full} back.
    @gossip
    {She} [thanked|kissed] {other} and was no longer {mood}.
    {friend} never [heard|learned] that {thing} had been lost.""",
    # Something is broken and mended.
    """dropped {her} <thing.bare> <first.at>, and @creatures [ran|walked] over it.
    {hero} was <mood>. [Who could|Could anybody] mend {thing.one}?
    {She} @eagerly carried it @way to {her} <bond> <friend> the <trade>.
    {friend} @eagerly [looked at|turned over|held up] {thing.full} and [nodded|frowned|sighed].
    For [an hour|two hours|a long time] {friend} worked {trade.at},
    while {hero} helped <other> <task>.
    @scene
    When {task.done}, {thing} was [whole again|as good as new|better than before],
    and {hero} was no longer {mood}.
    {friend} wanted no money, so {she} gave {friend.him} <gift.a>.
    {friend} @eagerly put it <nook> {trade.at} and [often looked at|was proud of] {gift}.""",
    # Something is found; whose is it?
    """found <thing.a> <first.at>, [half hidden|lying] <spot>.
    [Whose was it?|Who had lost it?|Who could have left it there?]
    {She} [asked|tried] <other>, who was @busy, but {other} [had never seen it|owned no {thing.noun}].
    @gossip
    @scene
    @Then @eagerly @went to {her} <bond> <friend> the <trade>,
    who sat {trade.at} and looked <mood>.
    {friend} had lost {thing.one} [yesterday|a week ago|last winter], while {friend.she} was @busy.
    {hero} @eagerly [held up|brought out] {thing.full}, and {friend} was no longer {mood}.
    It had been {spot.the} {first.at}.
    As a reward {hero} was given <gift.a>, and {she} @eagerly carried {gift} back to {job.place}.""",
    # Two things change hands.
    """went to the market to sell <thing.a>.
    {Her} <bond> <friend> [was there too|had come as well], with <gift.a>.
    @talk
    {hero} [liked|admired] {gift}, and {friend} [liked|wanted] {thing}.
    So {friend} took {thing.full} and {hero} took {gift.full}.
    @scene
    <first.At> {she} met <other>, who was @busy and asked about {thing}.
    {hero} said that {friend} had it now, and @eagerly showed {gift} to {other}.
    @gossip
    {hero} @eagerly put {gift} <nook> {job.at} and never sold it again.""",
    # Two guests, and one of them forgets something.
    """asked <friend> and <other> to come to {job.place} for @food.
    {friend} brought <thing.a>, and {other} brought <gift.a>.
    @talk
    @gossip
    [When it was late|When the candle was low], the guests went home.
    @Then saw that [{friend} had forgotten {thing}.
    It was <nook>, and {she} @eagerly @went after {friend.him} as far as <first>.
    {friend} @eagerly took {thing.full} and [thanked|praised] {hero}.|{other} had forgotten {gift}.
    It was <nook>, and {she} @eagerly @went after {other.him} as far as <first>.
    {other} @eagerly took {gift.full} and [thanked|praised] {hero}.]
    @scene""",
)

ENDING = (
    """By {time.end} the {weather.noun} was gone,
    and the {trait} {job} [slept well|sat by the fire|ate @food].""",
    """By {time.end} {hero} was [home again|back {job.at}], [tired|hungry|cold] but [happy|glad],
    and [ate @food|dreamed of {joy}|thought of {joy}|counted @creatures].""",
    "And so the {weather} {time} ended well for {hero} the {job}.",
)

FIRST = ("First {she}", "At first {she}", "{She}", "{hero}", "Without a word {she}")

THEN = ("Then {she}", "Soon {she}", "After a while {she}", "Later {she}", "{She}", "{hero}")

EAGERLY = (
    "[bravely|calmly|carefully|eagerly|gently|gladly|happily|proudly|quickly|quietly|sadly|slowly]",
)

WENT = ("walked @way*3", "went @way*2", "hurried @way", "ran @way", "wandered @way")

WAY = ("[across|along|down|over|past|up] the @dull @ground",)

DULL = ("[dark|distant|empty|green|lonely|long|muddy|narrow|old|quiet|steep|wide]",)

GROUND = ("[bank|field|hill|lane|meadow|path|road|shore|street|track]",)

SCENE = (
    "The {weather.noun} {weather.did} over the @dull [fields|hills|houses|meadows|roofs|trees].",
    "It was still {weather}, [but {hero} did not mind|and {her} [ears|feet|hands] were cold].",
    "On the @dull @ground @creatures [danced|played|rested|slept|stood|waited].",
    "Far away @creatures @went.",
)

CREATURES = (
    """[two|three|four|seven|nine|some] [black|brown|fat|grey|hungry|small|spotted|white|wild|young]
    [cats|cows|crows|dogs|ducks|goats|gulls|hens|mice|pigeons|pigs|sheep]""",
)

BUSY = ("[chasing|counting|feeding|looking for|painting|selling|watching] @creatures",)

GOSSIP = (
    """{other} had [heard|read] that [the [doctor|king|mayor|queen]|a [stranger|thief]] had
    [bought|found|lost|sold|stolen] @creatures.""",
)

TALK = (
    """They [argued|laughed|talked] for [a while|an hour|a long time] about
    [{joy}|the [harvest|king|sea|weather]] and [bread|fish|love|money|the moon].""",
)

FOOD = ("[fresh|hot|sweet] [bread|cake|pie|soup|stew] and [cheese|cider|honey|milk|tea]",)


@cache
def story_grammar() -> Grammar:
    """Return the grammar of the stories that the package carries."""
    rules = {
        "story": ("@opening @plot @ending",),
        "opening": OPENING,
        "plot": PLOTS,
        "ending": ENDING,
        "First": FIRST,
        "Then": THEN,
        "eagerly": EAGERLY,
        "went": WENT,
        "way": WAY,
        "dull": DULL,
        "ground": GROUND,
        "scene": SCENE,
        "creatures": CREATURES,
        "busy": BUSY,
        "gossip": GOSSIP,
        "talk": TALK,
        "food": FOOD,
    }
    return Grammar(rules, CAST)
