/**
 * What is done, in words that say the same: one concept a line, then its forms, by dictionary form. `pull~out` also takes
 * words in between ("pulls his blade out"). A form on two lines may mean either. Lines are kept narrow on purpose: a word
 * that is missing costs a served line, a word too many serves a wrong one.
 */
export const VERBS = `
draw-weapon: draw pull unsheathe pull~out whip~out take~out
put-away: sheathe put~away
put: put lay set place put~down set~down lay~down
take: take
grab: grab seize clutch take_hold_of
take-off: take~off doff remove
put-on: put~on don
lift: lift raise hold~up
lower: lower
doff-hat: lift_hat tip_hat doff_hat take~off_hat
hold: hold carry have
have: have own possess have_got get
wear: wear have~on
lack: lack
give: give hand pass hand~over
give-back: give~back return_to
lend: lend loan
steal: steal snatch pinch swipe pilfer make~off_with
rob: rob
buy: buy purchase
sell: sell have_for_sale flog
pay: pay
offer: offer bid
demand: demand
cost: cost
count: count count~over
spend: spend
ask: ask inquire enquire
want-to-know: want_to_know ask
order: order command tell~to bid
beg: beg plead plead_with implore beseech entreat
forbid: forbid
thank: thank thanks thank_you
curse: curse
praise: praise
insult: insult
threaten: threaten menace
promise: promise swear vow
warn: warn
tell: tell
say: say utter tell
talk: talk speak
talk-to: talk_to speak_to address
shout: shout yell cry~out call~out call bellow
scream: scream shriek
whisper: whisper
sing: sing
laugh: laugh
weep: weep cry sob
answer: answer reply respond
be-silent: be_silent be_quiet shut_up keep_quiet stay_silent keep_silent remain_silent stay_quiet fall_silent say_nothing not_say_anything say_not_a_word make_no_answer give_no_answer
repeat: repeat
lie-untruth: lie
know: know
remember: remember recall
forget: forget
find: find discover
lose: lose
look: look
look-at: look_at watch eye observe
stare: stare_at stare gaze_at gaze
look-out: look_out-of gaze_out-of look_out_at gaze_out
see: see spot notice sight
hear: hear
smell: smell sniff
smell-bad: smell_bad stink reek bad_smell
show: show
hide: hide conceal duck hide_himself hide_herself conceal_himself conceal_herself
search: search search_for hunt_for look_for seek
follow: follow
chase: chase pursue hunt
wait: wait
stand: stand be
sit: sit be
lie: lie be
be-at: be
kneel: kneel
bow: bow make_bow
wave: wave
nod: nod
shrug: shrug shrug_shoulder give_shrug
smile: smile
yawn: yawn
kiss: kiss
slap: slap give_slap
point: point
point-at: point_at point_to
come: come
go: go
walk: walk go stroll march
approach: approach get_closer get_near move_closer come_close draw_near draw_closer walk_over_to come_closer come_near come_nearer come_up_to walk_up_to come_toward
come-out: come~out-of emerge_from step~out-of appear_out-of
go-out: go~out-of walk~out-of step~out-of
come-in: come_in enter walk_in step_in
enter: enter come_into go_into walk_into step_into
leave: leave go go~away walk~away walk~off go_off set~off set~out head~off depart get_going be_off
walk-away: walk~away leave
come-back: come~back return be_back
go-back: go~back return
pass: pass go_past walk_past go_by walk_by
get-through: pass go_through get_through be_through
cross: cross step_over go_over go_across step_across walk_across
run: run rush dash sprint race
run-into: run_into bolt_into flee_into dash_into bolt_down run_down flee_down
run-away: run~away run~off flee escape
climb: climb clamber scramble
climb-out: climb~out-of
climb-over: climb_over climb_across scramble_over clamber_over climb_across
jump: jump leap
jump-into: jump_into leap_into dive_into plunge_into jump_in leap_in
swim: swim
fly: fly
ride: ride
push: push shove
throw: throw fling hurl toss chuck
pull: pull drag haul tug
roll: roll
fall: fall tumble drop
fall-off: fall~off fall_from tumble~off tumble_from
knock-down: knock~down knock~to_ground
bring-down: bring~down take~down
fall-dead: fall_dead drop_dead collapse_dead
fall-apart: collapse come_down cave_in come~down cave~in fall_in
attack: attack assault assail go_for
hit: hit strike
beat: beat thrash
punch: punch
kick: kick
stab: stab
cut: cut
cut-off: cut~off chop~off sever hack~off lop~off
behead: behead
shoot: shoot
bite: bite
tear: tear rip
tear-apart: tear~apart rip~apart tear~to_piece rip~to_piece
strangle: strangle choke throttle
drown: drown
kill: kill slay murder finish_off put_to_death strike_dead
be-dead: be_dead have_die lie_dead
die: die pass_away perish
save: save rescue
defend: defend protect
block: block parry
dodge: dodge evade
miss: miss
hurt: hurt wound injure harm
bleed: bleed
heal: heal
surrender: surrender yield give_up
disarm: disarm
load: load
fire: fire
break: break smash shatter
snap: snap break crack
break-down: break~down smash smash_down
mend: mend repair fix
burn: burn flame blaze
bribe: bribe offer~bribe
set-on-fire: set~on_fire set_fire_to set~ablaze set~alight
catch-fire: catch_fire
be-on-fire: be_on_fire burn be_ablaze be_in_flame
light: light kindle
put-out: put~out blow~out snuff snuff~out extinguish douse
blow-out: blow~out
open: open
close: close shut slam
soak: soak drench
lock: lock bolt
unlock: unlock
ring: ring toll
drink: drink quaff
eat: eat devour
pour: pour
spill: spill
feed: feed
sleep: sleep be_asleep
fall-asleep: fall_asleep be_asleep drift_off
wake: wake wake_up awake awaken rouse
get-up: get~up rise stand~up
lie-down: lie~down
bury: bury inter
dig-up: dig~up exhume unearth
claim: claim
tag: tag
drop: drop
pick-up: pick~up
help: help aid
drive: drive ram
break-out: break~out
vanish: vanish disappear
appear: appear
summon: summon call~up conjure conjure~up
banish: banish
turn: turn
become: become turn grow get
grow-thick: thicken get_thick grow_thick get_thicker grow_thicker get_dense grow_dense get_denser grow_denser
rain: rain fall_rain rain_fall
snow: snow
freeze: freeze
melt: melt
cover: cover blanket
spread: spread
sunset: go_down set sunset
sunrise: come_up rise sunrise
retreat: retreat pull_back fall_back
move: move
stand-still: stand_still
let: let allow permit
let-through: let~pass let~through allow~to_pass let~go_by
let-live: let~live spare
invite: invite
guard: guard
play: play
dance: dance
fight: fight
work: work
need: need
keep: keep
visit: visit come_to_see be_here_to_see come_to_visit be_here_to_visit
belong: belong_to own
dream: dream
use: use
touch: touch
catch: catch
howl: howl
bark: bark
arrive: arrive come turn_up show_up get_here
sneak: sneak creep tiptoe
crouch: crouch squat
aim: aim_at point_at take_aim_at
trip: trip stumble
faint: faint pass_out lose_consciousness
applaud: applaud clap
mock: mock taunt jeer_at make_fun_of
greet: greet salute hail
accept: accept agree_to
haggle: haggle bargain barter
destroy: destroy wreck demolish ruin
abandon: abandon desert
betray: betray double_cross
cheat: cheat swindle trick fool deceive lie_to
free: free release set~free let~go liberate
tie: tie bind tie~up
capture: capture arrest
gather: gather assemble
knock-at: knock_at knock_on rap_at rap_on knock
ask-for: ask_for request
explode: explode blow_up
collapse: collapse fall_down fall_over fall_to_ground
pick-lock: pick_lock
poison: poison
pray: pray
hate: hate loathe detest
like: like
love: love
fear: fear be_afraid_of be_scared_of
trust: trust
win: win
owe: owe be_in_debt_to
hurry: hurry
slip: slip
limp: limp
circle: circle go_around walk_around
corner: corner
surround: surround encircle
follow-on: come_after go_after
spit: spit
swallow: swallow gulp
sharpen: sharpen whet
bandage: bandage
reload: reload
drag: drag
`;
