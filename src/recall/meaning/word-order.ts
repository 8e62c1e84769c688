/**
 * One order for what may be said in several: owners before what they own, what something is like before it, who before what
 * they do. Only so can "who did it to whom" be told by order alone.
 */
import { CORE, type Draft, type Item, OWNER, TO_WHOM } from './item.ts';

/** Who, what is done, to whom; a passive is turned round. `opensWithHere`: the text begins with "here" or "there". */
export function inOrder(read: readonly Draft[], opensWithHere: boolean): readonly Item[] {
  let items = withSubjectFirst(withQualityFirst(withOwnersFirst(read)), opensWithHere);
  for (const verb of read.filter((item) => item.isPassive)) {
    const at = items.indexOf(verb);
    const isMine = (item: Draft) => item.clause === verb.clause;
    const agentTie = verb.concepts.includes('verb/cover') ? 'with' : 'by';
    const isCore = (item: Draft) => (item.owned ?? item).ties[0] === 'core';
    const isAgent = (item: Draft) => (item.owned ?? item).ties[0] === agentTie;
    const earlierVerb = items.slice(0, at).findLastIndex((item) => item.isVerb && isMine(item));
    const patient = items
      .slice(earlierVerb + 1, at)
      .filter((item) => isMine(item) && !item.isVerb && isCore(item));
    const agent = items.slice(at + 1).filter((item) => isMine(item) && isAgent(item));
    const moved = new Set<Draft>([...patient, ...agent]);
    const kept = items.filter((item) => !moved.has(item));
    const verbAt = kept.indexOf(verb);
    for (const item of agent) if (item.owned === null) item.ties = CORE;
    const isGivenTo =
      verb.isGiving &&
      kept.slice(verbAt + 1).some((item) => isMine(item) && item.isThing && item.ties === CORE);
    if (isGivenTo) for (const item of patient) if (item.owned === null) item.ties = TO_WHOM;
    items = [...kept.slice(0, verbAt), ...agent, verb, ...patient, ...kept.slice(verbAt + 1)];
  }
  return items.map(
    ({ concepts, weight, isDecisive, isPlural, gender, written, ties, denials, isBeing, owned }): Item => ({
      concepts,
      weight,
      isDecisive,
      isPlural,
      gender,
      written,
      ties: owned === null ? ties : owned.ties.map((tie) => `of ${tie}`),
      denials,
      isBeing,
    }),
  );
}

/** "The coat of the player" as "the player's coat", and every owner tied to what is owned. */
function withOwnersFirst(read: readonly Draft[]): Draft[] {
  const items = [...read];
  for (let at = 1; at < items.length; at += 1) {
    const item = items[at] as Draft;
    if (!item.isBehind || items[at - 1]?.isBehind === true) continue;
    let end = at + 1;
    while (items[end]?.isBehind === true && items[end]?.clause === item.clause) end += 1;
    let from = at;
    if (items[from - 1]?.ties === OWNER && end === at + 1) from -= 1;
    const headAt = items
      .slice(0, from)
      .findLastIndex((each) => each.isThing && each.ties !== OWNER && !each.isBehind);
    const head = items[headAt];
    if (head === undefined || headAt !== from - 1 || head.clause !== item.clause) continue;
    let to = headAt;
    while (
      to > 0 &&
      items[to - 1]?.ties === head.ties &&
      items[to - 1]?.isThing === false &&
      items[to - 1]?.isVerb === false
    )
      to -= 1;
    const owners = items.splice(from, end - from);
    items.splice(to, 0, ...owners);
    for (const owner of owners) owner.ties = OWNER;
  }
  for (let at = items.length - 2; at >= 0; at -= 1) {
    const item = items[at] as Draft;
    if (item.ties !== OWNER) continue;
    const head = items.slice(at + 1).find((each) => each.ties !== OWNER && !each.isOwning && each.isThing);
    item.isOwning = true;
    if (head !== undefined && head.clause === item.clause) item.owned = head;
  }
  return items;
}

/** "The moon is full" as "there is a full moon". */
function withQualityFirst(items: Draft[]): Draft[] {
  for (const being of items.filter((item) => item.isBeing)) {
    const at = items.indexOf(being);
    const after = items.slice(at + 1).filter((item) => item.clause === being.clause && item.ties === CORE);
    const [quality] = after;
    if (quality === undefined || after.length > 1 || quality.isThing || quality.isVerb || quality.isDecisive)
      continue;
    const head = items
      .slice(0, at)
      .findLast((item) => item.clause === being.clause && item.isThing && item.ties === CORE);
    if (head === undefined || head.written !== null) continue;
    items.splice(items.indexOf(quality), 1);
    items.splice(items.indexOf(head), 0, quality);
  }
  return items;
}

/** "On the wall sits a cat", "here comes the watch": who stands behind the verb. */
function withSubjectFirst(items: Draft[], opensWithHere: boolean): Draft[] {
  const verbAt = items.findIndex((item) => item.isVerb && !item.isBeing);
  const verb = items[verbAt];
  const opensWithPlace = opensWithHere || items[0]?.ties[0] !== 'core';
  if (verb === undefined || !(verb.isInflected || verb.isStanding) || verb.isPassive || !opensWithPlace)
    return items;
  if (items.slice(0, verbAt).some((item) => item.ties === CORE || item.clause !== verb.clause)) return items;
  let end = verbAt + 1;
  while (
    end < items.length &&
    (items[end]?.ties === CORE || items[end]?.ties === OWNER) &&
    items[end]?.isVerb === false
  )
    end += 1;
  return [...items.slice(0, verbAt), ...items.slice(verbAt + 1, end), verb, ...items.slice(end)];
}
