"""The stories that minilm tells, as templates; `story_source` explains their four marks.

Each plot lets a hero introduce people, places and things, and needs them again some sentences
later. A model that remembers them writes what must come; one that sees a few words back guesses.
"""

from functools import cache

from minilm.data.story_source import Grammar
from minilm.data.story_words import CAST

# A rule that stands for a single word or two is named after one of them: `the @green @field`.
RULES: dict[str, tuple[str, ...]] = {
    "story": ("@opening @plot @ending",),
    "opening": (
        "One <weather> <time> <hero> the <trait> {job}",
        """There was once <trait.a> <hero.job> named {hero}, who [dreamed of|loved] <joy>.
        One <weather> <time> {she}""",
        """In a [lovely|quiet|small|poor] [town|village] by the sea lived
        <trait.a> <hero.job> named {hero}. On <weather.a> <time> {she}""",
    ),
    "plot": (
        # An errand: a thing goes to somebody's place of work.
        """set out with <thing.a>, for {she} had promised {thing} to {her} <bond> <friend>
        the {friend.job}.
        [{friend} had always wanted {thing.one}|{friend} had asked for {thing.one}].
        @scene
        <first.At> {hero} met <other>, who was @busy.
        {other} asked [about {thing}|where {hero} was going],
        [so|and] {she} [showed {other} {thing.full}|spoke of {friend} and {thing}].
        @gossip
        @Then @eagerly [carried|took] {thing} @way to {friend.place}.
        {friend} @eagerly [took|held|turned] {thing} and [smiled|laughed|nodded].
        [To thank {hero}, {friend} brought|In return {friend} gave {hero}] <gift.a>.
        @Then @eagerly [carried|took|brought] {gift} @way home.""",
        # Something is left behind: where, and beside whom?
        """took <thing.a> and carried {thing} @way to <first>.
        There {hero} [put|laid|set|left] {thing} <spot>
        and [helped|stopped to help] <friend> <task>.
        @scene
        [When|As soon as] {task.done}, {hero} left {friend} and @went to <second>.
        There {she} [saw|noticed|found] that {thing} was [gone|missing].
        {hero} was <mood> and asked <other>, who was @busy, but {other} had seen no {thing.noun}.
        @gossip
        [Then|Suddenly] {hero} remembered {friend} and {task.noun},
        and {she} @eagerly @went back to {friend}.
        {thing.Full} was still {spot.the}[.|, between @animals.]
        {hero} picked {thing} up and was no longer {mood}.""",
        # A pet has run away.
        """noticed that {her} <pet.bare> was gone.
        [The gate|A window|The back door] of {place} stood open.
        {hero} was <mood>, for {she} loved {pet} [dearly|very much|more than anything].
        @First @eagerly looked around <first.at>, but {she} found only <thing.a>.
        {She} @eagerly picked {thing} up.
        @scene
        @Then @went to <second>, where <friend> was @busy.
        @talk
        {friend} had [heard|seen] {pet.one} <third.at> and led {hero} @way to {third}.
        There stood {pet.full}, [watching|chasing] @animals.
        {hero} @eagerly [hugged|kissed|stroked] {pet} and was no longer {mood}.
        [As thanks|For this help] {hero} gave {thing} to {friend}.""",
        # Something is lost, and somebody must not hear of it.
        """could not find {her} <thing.bare>.
        {hero} was <mood>, because {thing} had been a gift from {her} <bond> <other>.
        @First @eagerly looked around <first.at>, but {she} found only @animals.
        @scene
        [Luckily|By chance] <friend> the {friend.job} had found {thing.one} <second.at>
        and had taken {thing} to {friend.place}.
        [When {hero} heard this|As soon as {hero} knew], {she} @eagerly @went to {friend.place}.
        {friend} was @busy, but @eagerly gave {thing.full} back to {hero}.
        @talk
        {hero} [thanked|hugged] {friend} and was no longer {mood}.
        {other} never [heard|learned] that {hero} had lost {thing}.""",
        # Something is broken and mended.
        """dropped {her} <thing.bare> <first.at>, and @animals [ran|walked] over {thing}.
        {hero} was <mood>. [Who could|Could anybody] mend {thing}?
        {She} @eagerly carried {thing} @way to {her} <bond> <friend> the {friend.job}.
        {friend} @eagerly [looked at|turned over|held up] {thing} and [nodded|frowned|sighed].
        For [an hour|two hours|a long time] {friend} worked {friend.at},
        while {hero} helped <other> <task>.
        @gossip
        When {task.done}, {thing} was [whole again|as good as new|better than before],
        and {hero} was no longer {mood}.
        {friend} wanted no money, so {hero} gave {friend} <gift.a>.
        {friend} @eagerly put {gift} <nook> {friend.at} and [thanked|praised] {hero}.""",
        # Something is found; whose is it?
        """found <thing.a> <first.at>. {thing.The} [lay|stood|was half hidden] <spot>.
        {hero} showed {thing} to <other>, who was @busy,
        but {other} [had never seen it|owned no {thing.noun}].
        @gossip
        @scene
        @Then took {thing} and @went to {her} <bond> <friend> the {friend.job},
        who sat {friend.at} and looked <mood>. {friend} had lost {thing.one}
        [yesterday|a week ago|last winter], while {friend.she} was @busy.
        {hero} @eagerly [held up|brought out] {thing.full}, and {friend} was no longer {mood}.
        As a reward {friend} gave {hero} <gift.a>, and {hero} carried {gift} back to {place}.""",
        # Two things change hands.
        """went to the market with <thing.a> and tried to sell {thing}.
        {Her} <bond> <friend> [was there too|had come as well], with <gift.a>.
        @talk
        {hero} [liked|admired] {gift}, and {friend} [liked|wanted] {thing}.
        So {friend} took {thing.full} and {hero} took {gift.full}.
        @scene
        <first.At> {hero} met <other>, who was @busy and asked about {thing}.
        {hero} said that {friend} had {thing} now, and @eagerly showed {gift} to {other}.
        @gossip
        {hero} @eagerly put {gift} <nook> {at} and never sold {gift} again.""",
        # Two guests, and one of them forgets something.
        """asked <friend> and <other> to come to {place} for @food.
        {friend} brought <thing.a>, and {other} brought <gift.a>.
        @talk
        @gossip
        [When it was late|When the candle was low], {friend} and {other} went home.
        @Then saw that[
        {friend} had forgotten {thing}. {She} took {thing} and @eagerly @went after {friend}.
        {friend} @eagerly took {thing.full} and [thanked|praised] {hero}.|
        {other} had forgotten {gift}. {She} took {gift} and @eagerly @went after {other}.
        {other} @eagerly took {gift.full} and [thanked|praised] {hero}.]
        @scene""",
    ),
    "ending": (
        """By {time.end} the {weather.noun} was gone,
        and the {trait} {job} [slept well|ate @food|counted @animals].""",
        """By {time.end} {hero} was back {at}, [tired|hungry|cold] but [happy|glad],
        and [ate @food|dreamed of {thing}].""",
        "And so the {weather} {time} ended well for {hero} the {job}.",
    ),
    "scene": (
        "The {weather.noun} {weather.did} over {hero} and the @green [fields|hills|roofs|trees].",
        "It was still {weather}, but {hero} did not mind.",
        "Near the @green @field {hero} [saw|passed|met|heard] @animals.",
        "{hero} thought of {thing} and [looked at|listened to|talked to] @animals.",
    ),
    "gossip": (
        """{other} told {hero} that
        [the [king|mayor|priest|queen]|a [fool|giant|stranger|thief]] had
        [bought|counted|found|hidden|lost|painted|sold|stolen] @animals.""",
    ),
    "talk": (
        """{hero} and {friend} [argued|laughed|talked] [for a while|for an hour|all day]
        about [{thing}|love|the moon|the sea] and @animals.""",
    ),
    "busy": ("[chasing|counting|drawing|feeding|looking for|selling|teaching|washing] @animals",),
    "food": ("[cold|fresh|hot|sweet] [bread|cake|pie|soup|stew] and [cider|milk|tea|water]",),
    "animals": ("@two @wild @sheep",),
    "two": tuple("some two three four five six seven eight nine ten twelve".split()),
    "wild": tuple(
        "angry black brave brown clever fat grey happy hungry proud quiet sad shy small spotted "
        "tired white wild young".split()
    ),
    "sheep": tuple(
        "bees cats cows crows dogs ducks foxes frogs geese goats gulls hens mice owls pigeons "
        "pigs rabbits sheep swans".split()
    ),
    "went": ("[walked*3|went*3|hurried|marched|ran|strolled|wandered] @way",),
    "way": ("[across|along|down|over|past|up] the @green @field",),
    "green": tuple(
        "dark distant dusty empty green lonely long lovely muddy narrow old quiet steep sunny wet "
        "wide".split()
    ),
    "field": tuple(
        "bank brook cliff field hill lane meadow path road shore square street track valley".split()
    ),
    "eagerly": tuple(
        "bravely calmly carefully eagerly gently gladly happily kindly noisily politely proudly "
        "quickly quietly sadly shyly slowly".split()
    ),
    "First": ("First {hero}", "At first {hero}", "{She}", "{hero}*2", "Without a word {hero}"),
    "Then": ("Then {hero}", "Soon {hero}", "After a while {hero}", "{She}", "{hero}*2"),
}


@cache
def story_grammar() -> Grammar:
    """Return the grammar of the stories that the package carries."""
    return Grammar(RULES, CAST)
