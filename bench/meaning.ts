/**
 * `npm run bench:meaning`: how often a bark would be served for words that mean something else, by measure and threshold, on
 * src/recall/meaning/labelled.jsonl. Thresholds are chosen on the calibration part; the held-out part is only counted.
 * Flags: --quick (no vectors, so no engine), --vectors FOLDER (kept between runs), --write (calibrated.ts anew), --out FILE.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Calibration, calibrate, FALSE_ACCEPT_MAX } from '../src/recall/meaning/calibrate.ts';
import {
  countAt,
  interval,
  leastThreshold,
  type Measure,
  type Measured,
  measureScenes,
} from '../src/recall/meaning/error-rate.ts';
import { DIFFERENCES, parseLabelled } from '../src/recall/meaning/labelled.ts';
import { MeaningIndex } from '../src/recall/meaning/meaning-index.ts';
import { type Bar, writeResult } from './load/result-file.ts';
import { quantile, round } from './load/statistics.ts';
import {
  behindVetoes,
  framesAlike,
  framesElse,
  sharedLetters,
  sharedWords,
  vectorsAlike,
} from './meaning/measures.ts';
import { engineVectorsOf, SENTENCE_MODEL, sentenceVectorsOf, VECTOR_MODEL } from './meaning/vectors.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    vectors: { type: 'string' },
    write: { type: 'boolean', default: false },
    out: { type: 'string', default: 'bench/results/meaning.json' },
  },
});

const FOLDER = path.join(import.meta.dirname, '../src/recall/meaning');
const GATE_ENTRIES = 50;
const LOOK_UPS = 10_000;
const LOOK_UP_BOUND_US = 1_000;
/** Fine enough for cosines, which all lie close together. */
const GRID = Array.from({ length: 1_000 }, (_, at) => (at + 1) / 1_000);

const labelledText = readFileSync(path.join(FOLDER, 'labelled.jsonl'), 'utf8');
const calibration = calibrate(labelledText);
if (flags.write) writeFileSync(path.join(FOLDER, 'calibrated.ts'), asSource(calibration));
const { seed, scenes } = parseLabelled(labelledText);
const parts = {
  calibration: scenes.filter(({ part }) => part === 'calibration'),
  heldOut: scenes.filter(({ part }) => part === 'held-out'),
};

interface Named {
  readonly name: string;
  readonly measure: Measure;
  /** Thresholds to show besides the chosen one. */
  readonly shown: readonly number[];
}

const ABSENT = {
  case: 'measures that could not be taken',
  reason: 'the Triton of short work is not installed',
  install: 'npm run engines:triton',
};
const absent: Record<string, string>[] = [];
const measures: Named[] = [
  { name: 'words in common', measure: sharedWords, shown: [0.8] },
  { name: 'letters in common', measure: sharedLetters, shown: [0.8] },
  { name: 'frames', measure: framesAlike, shown: [0.3, 0.4, 0.5, calibration.threshold, 0.7, 0.8, 0.95, 1] },
];
if (!flags.quick) {
  const textsOf = (of: typeof scenes) =>
    of.flatMap(({ same, different }) => [...same, ...different.map(({ words }) => words)]);
  const texts = [...new Set(textsOf(scenes))];
  const vectors = await engineVectorsOf(texts, flags.vectors);
  const basis = textsOf(parts.calibration);
  const centred = vectorsAlike(vectors, basis, true);
  measures.push(
    { name: 'vectors', measure: vectorsAlike(vectors, basis, false), shown: [0.85, 0.9, 0.95] },
    { name: 'vectors less their mean', measure: centred, shown: [0.9, 0.95] },
    { name: 'vectors less their mean, behind vetoes', measure: behindVetoes(centred), shown: [0.9, 0.95] },
    {
      name: 'frames, else vectors behind vetoes',
      measure: framesElse(calibration.threshold, behindVetoes(centred)),
      shown: [0.9],
    },
  );
  const sentences = await sentenceVectorsOf(texts, flags.vectors);
  if (sentences === null) absent.push({ engine: SENTENCE_MODEL, ...ABSENT });
  else {
    const alike = vectorsAlike(sentences, basis, false);
    measures.push(
      { name: 'MiniLM vectors', measure: alike, shown: [0.85, 0.9, 0.95] },
      { name: 'MiniLM vectors behind vetoes', measure: behindVetoes(alike), shown: [0.85, 0.9, 0.95] },
      {
        name: 'frames, else MiniLM vectors behind vetoes',
        measure: framesElse(calibration.threshold, behindVetoes(alike)),
        shown: [0.9],
      },
    );
  }
}

const rows: Record<string, string | number | null>[] = [...absent];
const measured = new Map<string, { readonly calibration: Measured; readonly heldOut: Measured }>();
for (const { name, measure, shown } of measures) {
  const both = {
    calibration: measureScenes(parts.calibration, measure),
    heldOut: measureScenes(parts.heldOut, measure),
  };
  measured.set(name, both);
  const chosen =
    name === 'frames' ? calibration.threshold : leastThreshold(both.calibration, GRID, FALSE_ACCEPT_MAX);
  for (const threshold of [...new Set([...shown, ...(chosen === null ? [] : [chosen])])].sort(
    (a, b) => a - b,
  ))
    rows.push(rowOf(name, both, threshold, threshold === chosen));
}

const share = (hits: number, of: number) => `${round((100 * hits) / of, 2)} %`;

function rowOf(
  name: string,
  both: { readonly calibration: Measured; readonly heldOut: Measured },
  threshold: number,
  isChosen: boolean,
): Record<string, string | number | null> {
  const [known, held] = [countAt(both.calibration, threshold), countAt(both.heldOut, threshold)];
  const [low, high] = interval(held.falselyMet, held.different);
  const percent = (value: number) => round(100 * value, 2);
  return {
    case: 'errors by measure and threshold, held-out part; chosen where the calibration part allows it',
    measure: name,
    threshold,
    chosen: isChosen ? 'yes' : '',
    recallPercent: percent(held.met / held.same),
    precisionPercent:
      held.met + held.falselyMet === 0 ? null : percent(held.met / (held.met + held.falselyMet)),
    falseAccepts: `${held.falselyMet} of ${held.different}`,
    falseAcceptPercent: percent(held.falselyMet / held.different),
    falseAcceptPercentLow: percent(low),
    falseAcceptPercentHigh: percent(high),
    calibrationRecallPercent: percent(known.met / known.same),
    calibrationFalseAccepts: `${known.falselyMet} of ${known.different}`,
  };
}

for (const how of DIFFERENCES) {
  const row: Record<string, string | number | null> = {
    case: 'what is falsely accepted, held-out part, by how it differs',
    how,
    texts: 0,
  };
  for (const [name, threshold] of [
    ['words in common', 0.8],
    ['vectors', 0.95],
    ['MiniLM vectors', 0.9],
    ['frames', 0.5],
    ['frames', calibration.threshold],
  ] as const) {
    const of = measured.get(name)?.heldOut.different.filter((each) => each.how === how);
    if (of === undefined) continue;
    row['texts'] = of.length;
    row[`${name} at ${threshold}`] = of.filter(({ best }) => best >= threshold).length;
  }
  rows.push(row);
}

/** Real look-ups: a gate for each trigger holds every scene's first words, then all other words are asked. */
function lookUps(): { right: number; missed: number; wrong: number; asked: number; strangers: number } {
  const index = new MeaningIndex({ gatesMax: 100, entriesPerGateMax: 1_000 });
  for (const scene of parts.heldOut) index.note(scene.trigger, scene.same[0] ?? '', scene.id);
  const counts = { right: 0, missed: 0, wrong: 0, asked: 0, strangers: 0 };
  for (const scene of parts.heldOut) {
    for (const words of scene.same.slice(1)) {
      counts.asked += 1;
      const found = index.nearest(scene.trigger, words);
      if (found === null) counts.missed += 1;
      else if (found.key === scene.id) counts.right += 1;
      else counts.wrong += 1;
    }
    for (const { words } of scene.different) {
      counts.strangers += 1;
      if (index.nearest(scene.trigger, words) !== null) counts.wrong += 1;
    }
  }
  return counts;
}
const served = lookUps();
rows.push({
  case: 'look-ups among the first words of every held-out scene of the trigger',
  askedInOtherWords: served.asked,
  servedRight: served.right,
  missed: served.missed,
  askedWithWordsOfAnotherMeaning: served.strangers,
  servedWrong: served.wrong,
});

/** A full gate, the words of the set in turn: processor time of a look-up, by hundreds (us). Other work does not move it. */
function lookUpTimesUs(): number[] {
  const texts = scenes.flatMap(({ same, different }) => [...same, ...different.map(({ words }) => words)]);
  const index = new MeaningIndex({ gatesMax: 1, entriesPerGateMax: GATE_ENTRIES });
  for (const [at, words] of texts.slice(0, GATE_ENTRIES).entries()) index.note('gate', words, String(at));
  const timesUs = Array.from({ length: LOOK_UPS / 100 }, (_, hundred) => {
    const before = process.cpuUsage();
    for (let at = 0; at < 100; at += 1)
      index.nearest('gate', texts[((hundred * 100 + at) * 7) % texts.length] ?? '');
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 100;
  });
  return timesUs.slice(timesUs.length / 5);
}
const timesUs = lookUpTimesUs();
rows.push({
  case: `processor time of a look-up in a gate of ${GATE_ENTRIES} entries, by hundreds`,
  lookUps: timesUs.length * 100,
  p50Us: round(quantile(timesUs, 0.5), 1),
  maxUs: round(Math.max(...timesUs), 1),
});

const { heldOut } = calibration;
const [, high] = interval(heldOut.falselyMet, heldOut.different);
const bars: Bar[] = [
  {
    name: 'false accepts, held-out part (%)',
    value: round((100 * heldOut.falselyMet) / heldOut.different, 2),
    bound: '<= 1',
    holds: heldOut.falselyMet / heldOut.different <= FALSE_ACCEPT_MAX,
    note: `${heldOut.falselyMet} of ${heldOut.different}; recall ${share(heldOut.met, heldOut.same)} of ${heldOut.same} pairs`,
  },
  {
    name: 'false accepts, upper end of the 95 % interval (%)',
    value: round(100 * high, 2),
    bound: '<= 1',
    holds: high <= FALSE_ACCEPT_MAX,
    note: 'Clopper and Pearson; texts of one scene are alike, so the true interval is somewhat wider',
  },
  {
    name: `look-up among ${GATE_ENTRIES}, processor time (us)`,
    value: round(quantile(timesUs, 0.5), 1),
    bound: `< ${LOOK_UP_BOUND_US}`,
    holds: quantile(timesUs, 0.5) < LOOK_UP_BOUND_US,
    note: `the dearest hundred: ${round(Math.max(...timesUs), 1)} each`,
  },
];
writeResult(flags.out, {
  versions: { node: process.version, ...(flags.quick ? {} : { vectorsOf: VECTOR_MODEL }) },
  seed,
  quick: flags.quick,
  settings: {
    scenes: scenes.length,
    calibrationScenes: parts.calibration.length,
    heldOutScenes: parts.heldOut.length,
  },
  rows,
  bars,
});
for (const group of Map.groupBy(rows, (row) => row['case']).values())
  console.table(group.map(({ case: _case, ...row }) => row));
console.table(bars);
console.log(`written: ${flags.out}`);

function asSource({ setSha256, threshold, calibration: known, heldOut: held }: Calibration): string {
  const counts = ({ same, met, different, falselyMet }: Calibration['heldOut']) =>
    `{ same: ${same}, met: ${met}, different: ${different}, falselyMet: ${falselyMet} }`;
  return `/** Generated from labelled.jsonl by \`node bench/meaning.ts --write\`; do not edit. */
import type { Calibration } from './calibrate.ts';

export const CALIBRATED: Calibration = {
  setSha256: '${setSha256}',
  threshold: ${threshold},
  calibration: ${counts(known)},
  heldOut: ${counts(held)},
};
`;
}
