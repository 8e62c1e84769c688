/**
 * The small words that turn a sentence over: who is not, how many, which way, whether at all. They are never weighed: two
 * sentences that differ in one of them do not mean the same. Also the words that say nothing and are left out.
 */
/** Turns over the verb it stands by. */
export const NEGATIONS: ReadonlySet<string> = new Set(['not', 'never', 'cannot', 'nor', 'neither']);
/** A negation that stands by a thing and turns the whole clause over; beside it, what remains of the word. */
export const NEGATIVE_WORDS: Readonly<Record<string, string | null>> = {
  no: null,
  none: null,
  nobody: 'somebody',
  'no-one': 'somebody',
  nothing: 'something',
  nowhere: 'somewhere',
};

/** Concepts that must stand on both sides or on neither, by dictionary form; written as in verbs.ts. */
export const MARKERS = `
hardly: hardly barely scarcely
almost: almost nearly
about-to: about_to going_to on_the_point_of
try: try attempt
fail: fail
unable: cannot unable_to not_able_to
refuse: refuse decline reject turn~down
would-have: would_have
could-have: could_have might_have
should-have: should_have ought_to_have
used-to: used_to
why: how_come what_for
begin: begin start set_in
cease: stop cease quit
go-on: continue go_on keep_on
pretend: pretend feign
again: again once_more another_time
no-longer: any_more anymore no_longer
yet: yet
soon: soon
must: must have_to need_to
may: may might
should: should ought
future: will shall
want: want would_like wish
would: would
only: only only_just just_one
too: too
everybody: everybody everyone
half: half
some: some several
few: few
many: many lot_of lots_of
more: more
most: most
each: each
any: any
one: one single
two: two pair_of couple_of
three: three
four: four
five: five
six: six
seven: seven
eight: eight
nine: nine
ten: ten
dozen: dozen twelve
twenty: twenty
thirty: thirty
hundred: hundred
thousand: thousand
once: once
twice: twice two_time
thrice: thrice three_time
first: first
second: second
third: third
last: last
next: next
left: left
right: right
up: up upward
down: down downward
away: away off
back: back
forward: forward forwards ahead
over: over
front: front
except: except but_not
or: or
if: if whether
unless: unless
because: because
who: who whom
what: what
where: where
when: when
why: why
how: how in_what_way
whose: whose
which: which
mine: mine
yours: yours
yes: yes
no: nay
`;

/** Prepositions and what each may say; two phrases are the same only where these meet. */
export const PREPOSITIONS: Readonly<Record<string, readonly string[]>> = {
  to: ['to'],
  toward: ['to'],
  towards: ['to'],
  into: ['into'],
  onto: ['on'],
  on: ['on'],
  upon: ['on'],
  in: ['in', 'into'],
  inside: ['in'],
  within: ['in'],
  at: ['at'],
  by: ['by'],
  near: ['near'],
  beside: ['near'],
  'next-to': ['near'],
  under: ['under'],
  beneath: ['under'],
  below: ['under'],
  underneath: ['under'],
  over: ['over', 'across'],
  across: ['across'],
  above: ['over'],
  behind: ['behind'],
  'in-front-of': ['front'],
  from: ['from'],
  off: ['off', 'from'],
  'out-of': ['out', 'from'],
  through: ['through'],
  with: ['with'],
  without: ['without'],
  for: ['for'],
  about: ['about'],
  against: ['against'],
  around: ['around'],
  among: ['among'],
  between: ['among'],
  during: ['while'],
  like: ['like'],
  along: ['along'],
  down: ['down'],
  up: ['up'],
  past: ['past'],
  out: ['out', 'from'],
  after: ['after'],
  before: ['before', 'front'],
  until: ['until'],
  till: ['until'],
  since: ['since'],
  of: ['of'],
};
/** Open a side clause; everything in it is told apart from the rest. */
export const SUBORDINATORS: Readonly<Record<string, string>> = {
  while: 'while',
  as: 'while',
  whilst: 'while',
  that: 'that',
  after: 'after',
  before: 'before',
  until: 'until',
  till: 'until',
  since: 'since',
  once: 'after',
  because: 'because',
  if: 'if',
  whether: 'if',
};

/** Say nothing that a bark would answer to. */
export const EMPTY_WORDS: ReadonlySet<string> = new Set(
  `a an the this that these those there here and so then just now suddenly really very quite rather please oh ah hey also
  even already ever own some any which simply indeed still`.split(/\s+/),
);
