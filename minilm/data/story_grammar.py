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
    [{friend} had always wanted {thing.one}|{friend} had asked for {thing.one}].
    @scene
    <first.At> {hero} met <other>, who was @busy.
    {other} asked [about {thing}|where {hero} was going],
    [so|and] {hero} [showed {other} {thing.full}|spoke of {friend} and {thing}].
    @gossip
    @Then @eagerly [carried|took] {thing} @way to {trade.place}.
    {friend} @eagerly [took|held|turned] {thing} and [smiled|laughed|nodded].
    [To thank {hero}, {friend} brought|In return {friend} gave {hero}] <gift.a>.
    @Then @eagerly [carried|took|brought] {gift} @way home.""",
    # Something is left behind: where, and beside whom?
    """took <thing.a> and @went to <first>.
    There {hero} [put|laid|set|left] {thing} <spot>
    and [helped|stopped to help] <friend> <task>.
    @scene
    [When|As soon as] {task.done}, {hero} left {friend} and @went to <second>.
    There {hero} [saw|noticed|found] that {thing} was [gone|missing]. {hero} was <mood>.
    {hero} asked <other>, who was @busy, but {other} had seen no {thing.noun}.
    @gossip
    [Then|Suddenly] {hero} remembered how {she} had helped {friend} {task},
    and {hero} @eagerly @went back to {friend}.
    {thing.Full} was still {spot.the}[.|, under @creatures.]
    {hero} picked {thing} up and was no longer {mood}.""",
    # A pet has run away.
    """noticed that {her} <pet.bare> was gone.
    [The gate|A window|The back door] of {job.place} stood open.
    {hero} was <mood>, for {she} loved {pet} [dearly|very much|more than anything].
    @First @eagerly looked <first.at>, but {hero} found only <thing.a>.
    @scene
    @Then took {thing} and @went to <second>, where <friend> was @busy.
    @talk
    {friend} had [heard|seen] {pet.one} <third.at>, and {friend} @went there with {hero}.
    There stood {pet.full}, [[wet|hungry|tired] and [dirty|happy|sleepy]|watching @creatures].
    {hero} @eagerly [hugged|kissed|stroked] {pet} and was no longer {mood}.
    [As thanks|For this help] {hero} gave {thing} to {friend}.""",
    # Something is lost, and nobody must hear of it.
    """could not find {her} <thing.bare>.
    {hero} was <mood>, because {thing} had been a gift from {her} <bond> <friend>.
    @First @eagerly [looked|searched] <first.at>, but {hero} found only @creatures.
    @scene
    [Luckily|By chance] <other> the <trade> had found {thing.one} <second.at>
    and had taken {thing} to {trade.place}.
    [When {hero} heard this|As soon as {hero} knew], {she} @eagerly @went to {trade.place}.
    {other} was @busy, but @eagerly gave {thing.full} back to {hero}.
    @gossip
    {hero} [thanked|kissed] {other} and was no longer {mood}.
    {friend} never [heard|learned] that {hero} had lost {thing}.""",
    # Something is broken and mended.
    """dropped {her} <thing.bare> <first.at>, and @creatures [ran|walked] over it.
    {hero} was <mood>. [Who could|Could anybody] mend {thing.one}?
    {hero} @eagerly carried {thing} @way to {her} <bond> <friend> the <trade>.
    {friend} @eagerly [looked at|turned over|held up] {thing} and [nodded|frowned|sighed].
    For [an hour|two hours|a long time] {friend} worked {trade.at},
    while {hero} helped <other> <task>.
    @scene
    When {task.done}, {thing} was [whole again|as good as new|better than before],
    and {hero} was no longer {mood}.
    {friend} wanted no money, so {hero} gave {friend} <gift.a>.
    {friend} @eagerly put {gift} <nook> {trade.at} and [thanked|praised] {hero}.""",
    # Something is found; whose is it?
    """found <thing.a> <first.at>, [half hidden|lying] <spot>.
    {hero} asked <other>, who was @busy, but {other} [had never seen it|owned no {thing.noun}].
    @gossip
    @scene
    @Then took {thing} and @went to {her} <bond> <friend> the <trade>,
    who sat {trade.at} and looked <mood>.
    {friend} had lost {thing.one} [yesterday|a week ago|last winter], while {friend} was @busy.
    {hero} @eagerly [held up|brought out] {thing.full}, and {friend} was no longer {mood}.
    As a reward {friend} gave {hero} <gift.a>, and {hero} carried {gift} back to {job.place}.""",
    # Two things change hands.
    """went to the market to sell <thing.a>.
    {Her} <bond> <friend> [was there too|had come as well], with <gift.a>.
    @talk
    {hero} [liked|admired] {gift}, and {friend} [liked|wanted] {thing}.
    So {friend} took {thing.full} and {hero} took {gift.full}.
    @scene
    <first.At> {hero} met <other>, who was @busy and asked about {thing}.
    {hero} said that {friend} had {thing} now, and @eagerly showed {gift} to {other}.
    @gossip
    {hero} @eagerly put {gift} <nook> {job.at} and never sold {gift} again.""",
    # Two guests, and one of them forgets something.
    """asked <friend> and <other> to come to {job.place} for @food.
    {friend} brought <thing.a>, and {other} brought <gift.a>.
    @talk
    @gossip
    [When it was late|When the candle was low], {friend} and {other} went home.
    @Then saw that [{friend} had forgotten {thing}.
    {hero} took {thing} and @eagerly @went after {friend}.
    {friend} @eagerly took {thing.full} and [thanked|praised] {hero}.|{other} had forgotten {gift}.
    {hero} took {gift} and @eagerly @went after {other}.
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

FIRST = ("First {hero}", "At first {hero}", "{She}", "{hero}*2", "Without a word {hero}")

THEN = ("Then {hero}", "Soon {hero}", "After a while {hero}", "{She}", "{hero}*2")

EAGERLY = (
    "[bravely|calmly|carefully|eagerly|gently|gladly|happily|proudly|quickly|quietly|sadly|slowly]",
)

WENT = ("walked @way*3", "went @way*2", "hurried @way", "ran @way", "wandered @way")

WAY = ("[across|along|down|over|past|up] the @dull @ground",)

DULL = ("[dark|distant|empty|green|lonely|long|muddy|narrow|old|quiet|steep|wide]",)

GROUND = ("[bank|field|hill|lane|meadow|path|road|shore|street|track]",)

SCENE = (
    "The {weather.noun} {weather.did} over {hero} and the @dull [fields|hills|houses|roofs|trees].",
    "It was still {weather}, but {hero} did not mind.",
    "On the @dull @ground {hero} [saw|passed|met|heard] @creatures.",
    "{hero} stopped to [look at|listen to|talk to] @creatures.",
)

CREATURES = (
    """[two|three|four|seven|nine|some] [black|brown|fat|grey|hungry|small|spotted|white|wild|young]
    [cats|cows|crows|dogs|ducks|goats|gulls|hens|mice|pigeons|pigs|sheep]""",
)

BUSY = ("[chasing|counting|feeding|looking for|painting|selling|watching] @creatures",)

GOSSIP = (
    """{other} told {hero} that [the [doctor|king|mayor|queen]|a [stranger|thief]] had
    [bought|found|lost|sold|stolen] @creatures.""",
)

TALK = (
    """{hero} and {friend} [argued|laughed|talked] for [a while|an hour|a long time] about
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
