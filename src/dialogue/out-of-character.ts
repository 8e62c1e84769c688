/**
 * What a model says when it forgets that it is a character: that it is a machine, that it has a prompt, that it would be
 * glad to assist. Looked for in words without case and punctuation. Each pattern is narrow on purpose: a soldier may
 * speak of his training, a broker of her instructions, a lich of a prompt payment.
 */

const MACHINE =
  '(?:ai|a i|artificial intelligence|large language model|language model|chatbot|chat bot|computer program|machine learning model|text based (?:ai|model)|npc)';

const PATTERNS: readonly RegExp[] = [
  new RegExp(`\\b(?:i am|i'm|as|being) (?:just |only |merely |actually )?(?:an? |the )?${MACHINE}\\b`),
  // Nobody in a story knows the word; a small model says it bare ("An AI.").
  /\bai\b/,
  /\bi(?: am|'m) (?:just |only |here as )?(?:an|a|your) (?:\w+ )?assistant\b/,
  /\b(?:ai|virtual|digital|helpful|language) assistant\b|\blanguage models?\b|\b(?:ai|llm) model\b/,
  /\b(?:open ?ai|chat ?gpt|gpt[ -]?\d|smol ?lm\w*|hugging ?face|anthropic|deepseek|qwen\d?|llama ?[23]|mistral ai|google deepmind)\b/,
  /\b(?:training data|knowledge cutoff|context window|token limit|word limit|neural network)\b/,
  /\b(?:system|user|initial|original|previous|above|hidden) (?:prompt|prompts|message)\b/,
  /\b(?:system|previous|initial|original|above) instructions?\b/,
  /\bmy (?:programming|developers?|system instructions|prompt|guidelines)\b|\bi(?: was|'m| am)(?: not)? programmed\b/,
  /\b(?:this|the|your|given) prompt\b(?! (?:payment|reply|answer|arrival|return|attention|action|service|departure))/,
  /\bmy instructions (?:are|say|said|tell|told|do not|don't|forbid|prevent|require|state)\b/,
  /\b(?:role ?play|roleplaying|role-play\w*)\b|\b(?:in|break|breaking|out of|stay in|remain in) character\b/,
  /\b(?:non player character|non-player character|video game|game character|fictional character|the user(?:'s)?)\b/,
  /\bhow (?:can|may|could) i (?:assist you|help you today|be of assistance)\b|\bfeel free to ask\b|\bhappy to assist\b/,
  /\bi (?:can't|cannot|can not|won't|am unable to|am not able to|'m unable to|'m not able to) (?:assist|comply|fulfill|generate|engage in|provide (?:that|this|information))\b/,
  /\b(?:content policy|ethical guidelines|violates? (?:the|my) (?:policy|guidelines))\b/,
  /\bhere(?: is|'s) (?:my|the|a|an|your) (?:\w+ )?(?:response|dialogue|revised|rewritten|continuation)\b/,
  /\b(?:words or less|words or fewer|in one sentence|as (?:requested|instructed|per your request))\b/,
];
/** Most sentences hold none of these; they need no pattern. */
const HINT =
  /\b(?:ai|a i|artificial|assist\w*|model\w*|language|chat\w*|bot|program\w*|open|gpt\S*|smol\w*|hugging\w*|anthropic|deepseek|qwen\w*|llama\w*|mistral|google|training|knowledge|context|token|word|words|neural|prompts?|message|instruct\w*|developers?|guidelines|role\S*|character|game|user\S*|npc|feel|help|comply|fulfill|generate|engage|provide|policy|violates?|response|dialogue|revised|rewritten|continuation|sentence|requested|request|machine|computer|text)\b/;

/** Whether a sentence, given as its words joined by single spaces, is spoken by the machine and not the character. */
export function isOutOfCharacter(words: string): boolean {
  return HINT.test(words) && PATTERNS.some((pattern) => pattern.test(words));
}
