/**
 * Who and what is spoken of, in words that say the same; written as in verbs.ts. Things are the world's own where it has
 * them (a lid is a penny laid on an eye). A wider word stands on the lines of each narrower one: a blade may be a sword or a
 * knife, a sword is no knife.
 */
export const THINGS = `
player: player broker body_broker
stranger: stranger newcomer
watchman: watchman night_watchman lamp_watchman
watch: watch_of_lamp lamp_watch
guard: guard sentry guardsman
soldier: soldier
captain: captain
merchant: merchant trader
clerk: clerk
thief: thief
servant: servant footman
porter: porter
digger: digger gravedigger grave_digger
zombie: zombie
ghoul: ghoul
vampire: vampire
werewolf: werewolf
lich: lich
corpse: corpse body dead_body cadaver carcass
the-dead: dead dead_people dead_man the_dead
person: person people man
man: man
woman: woman
child: child kid
boy: boy lad
girl: girl lass
friend: friend
companion: companion comrade
brother: brother
sister: sister
mother: mother
father: father
cousin: cousin
bride: bride
doctor: doctor physician
crowd: crowd
sword: sword blade
knife: knife dagger blade
bow: bow
arrow: arrow
crossbow: crossbow
bolt: bolt
axe: axe hatchet
club: club cudgel
weapon: weapon
shield: shield
helmet: helmet helm
armour: armour armor
coat: coat
cloak: cloak cape
hat: hat cap
glove: glove
boot: boot shoe
torch: torch
lantern: lantern
lamp: lamp street_lamp lamppost
candle: candle
fire: fire flame
potion: potion draught
medicine: medicine
bottle: bottle flask
wine: wine
beer: beer ale
soup: soup broth
bread: bread loaf
meat: meat
rope: rope cord
stake: stake
jar: jar urn
purse: purse money_bag
money: money coin
penny: penny lid
pair: pair couple
price: price
ring: ring
bell: bell
key: key
ledger: ledger account_book debt_book
paper: paper
letter: letter
map: map chart
book: book
licence: licence license permit
brass: brass
cart: cart handcart
shovel: shovel spade
stone: stone pebble rock
twig: twig branch stick
barrel: barrel cask
table: table
chair: chair stool
door: door
gate: gate
window: window
wall: wall
roof: roof
floor: floor
ceiling: ceiling
stairs: stair step
cellar: cellar basement
loft: loft attic
tower: tower
church: church
chapel: chapel
house: house home
shop: shop
stall: stall booth
market: market
bridge: bridge
street: street road
alley: alley lane
river: river
well: well
graveyard: graveyard cemetery churchyard
grave: grave
coffin: coffin casket
tomb: tomb crypt
hill: hill
forest: forest wood
sill: sill threshold doorstep
queue: queue line
end: end
fog: fog mist
smoke: smoke
rain: rain
snow: snow
wind: wind gust_of_wind
storm: storm thunderstorm
lightning: lightning bolt_of_lightning lightning_bolt
sun: sun
moon: moon
night: night
dusk: dusk nightfall
dawn: dawn daybreak
day: day
tracks: track footprint footstep
trail: trail track
noise: noise sound
blood: blood
hand: hand
arm: arm
leg: leg
foot: foot
head: head
face: face
eye: eye
ear: ear
tooth: tooth
tongue: tongue
heart: heart
back: back
shoulder: shoulder
skin: skin
soul: soul
name: name
word: word
story: story tale
song: song
voice: voice
question: question
topic: subject topic
joke: joke
debt: debt
bribe: bribe
toll: toll
fine: fine
blow: blow strike punch
wolf: wolf
dog: dog hound
cat: cat
horse: horse
crow: crow
rat: rat
pack: pack
enemy: enemy foe
robber: robber bandit brigand
beggar: beggar
baby: baby infant
inn: inn tavern pub
crate: crate box
sack: sack bag
gift: gift present
wound: wound injury
trap: trap snare
hole: hole pit
sea: sea ocean
path: path track
ghost: ghost spirit
bone: bone
skull: skull
food: food
dust: dust
ash: ash
mud: mud
curtain: curtain drape
shutter: shutter
chest: chest
boat: boat
tree: tree
leaf: leaf
bird: bird
spell: spell
claw: claw
pocket: pocket
sleeve: sleeve
trousers: trousers breeches
drum: drum
flute: flute
rumour: rumour rumor gossip
tune: tune melody
cupboard: cupboard wardrobe
fight: brawl fight
`;

/** What something is like. */
export const QUALITIES = `
dead: dead
alive: alive living
dark: dark darkness
bright: bright
empty: empty nobody_left no_one_left
full: full
crowded: crowded full_of_people crowd_of_people
open: open ajar
whole: whole intact unbroken
fresh: fresh new
new: new
old: old
young: young
big: big large huge
small: small little tiny
wet: wet
dry: dry
invisible: invisible unseen
visible: visible
drunk: drunk
hungry: hungry
expensive: expensive dear costly pricey
too-expensive: too_expensive too_dear too_costly too_pricey cost_too_much
cheap: cheap inexpensive
loud: loud louder up_speak
quiet: quiet silent
bad: bad foul
good: good
unclaimed: unclaimed
heavy: heavy
heavily: heavily badly
gone: gone
true: true real
sick: sick ill
rich: rich wealthy
poor: poor
fast: fast quick swift
tired: tired weary exhausted
mad: mad insane crazy
beautiful: beautiful lovely pretty
strange: strange odd weird
dirty: dirty filthy
nearby: nearby close_by
alone: alone by_himself by_herself
heavily-hurt: seriously severely badly
false: false
ready: ready
angry: angry furious cross
afraid: afraid scared frightened
sad: sad
else: else another
goodbye: goodbye farewell bye
`;

/** When, how and that the price is asked: they may stand anywhere in the sentence. */
export const MANNERS = `
today: today
tomorrow: tomorrow
yesterday: yesterday
tonight: tonight this_night
far: far far_off far_away
at-once: at_once at_the_same_time at_same_time all_at_once
outside: outside outdoors out
uninvited: uninvited unasked without_invitation without_being_invited
inside: inside indoors in
how-much: how_much_for how_much_is how_much_be how_much_do~cost what_do~cost what_be_price_of how_much_do_you_want_for
all: all every every_one_of
both: both both_of
`;
