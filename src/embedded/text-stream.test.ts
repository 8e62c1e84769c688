import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SentenceMark, StopStrings, TokenText } from './text-stream.ts';

/** One token per byte: the hardest vocabulary there is. */
const bytesToText = (tokens: readonly number[]) => Buffer.from(tokens).toString('utf8');

describe('TokenText', () => {
  it('gives every text back whole, cut only between characters, however its bytes arrive', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (prompt, text) => {
        const stream = new TokenText(bytesToText, [...Buffer.from(prompt)]);
        const pieces = [...Buffer.from(text)].map((byte) => stream.push(byte));
        pieces.push(stream.flush());
        for (const piece of pieces) assert.ok(piece.isWellFormed());
        assert.equal(pieces.join(''), text.replaceAll(/\uFFFD+$/g, ''));
      }),
    );
  });

  it('drops a character that never became whole', () => {
    const stream = new TokenText(bytesToText, []);
    const bat = [...Buffer.from('a🦇')];
    const shown = bat.slice(0, 4).map((byte) => stream.push(byte));
    assert.equal(shown.join(''), 'a');
    assert.equal(stream.flush(), '');
  });

  it('does not wait for ever on bytes that are no character', () => {
    const stream = new TokenText(bytesToText, []);
    const shown = Array.from({ length: 20 }, () => stream.push(0xff)).join('');
    assert.ok(shown.length > 0);
  });
});

describe('StopStrings', () => {
  const naturalCut = (text: string, stops: readonly string[]) => {
    const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    return found.length === 0 ? text : text.slice(0, Math.min(...found));
  };

  it('shows what stands before the first stop string, however the text arrives', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\n'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(letters, stops, fc.array(fc.nat(5), { maxLength: 30 }), (text, wanted, cuts) => {
        const stream = new StopStrings(wanted, { includeInOutput: false });
        let shown = '';
        let from = 0;
        for (const cut of [...cuts, text.length]) {
          shown += stream.push(text.slice(from, from + cut));
          from += cut;
          assert.ok(naturalCut(text, wanted).startsWith(shown), 'a part of a stop string was shown');
        }
        shown += stream.push(text.slice(from)) + stream.flush();
        // Two stops may end together: the one that is whole first wins, as it does in a live stream.
        assert.ok(naturalCut(text, wanted).startsWith(shown));
        if (stream.matched === null) assert.equal(shown, text);
        else assert.ok(wanted.includes(stream.matched));
      }),
    );
  });

  it('shows the stop string too when asked to', () => {
    const stream = new StopStrings(['END'], { includeInOutput: true });
    assert.equal(stream.push('so E') + stream.push('ND and more') + stream.flush(), 'so END');
    assert.equal(stream.matched, 'END');
  });
});

describe('SentenceMark', () => {
  /** How much of the text was needed, a character at a time; null when its end did not come. */
  const endOf = (text: string): string | null => {
    const mark = new SentenceMark();
    for (const [index, character] of [...text].entries()) {
      mark.push(character);
      if (mark.hasEnded) return [...text].slice(0, index + 1).join('');
    }
    return null;
  };

  it('sees the first sentence whole with the character behind it', () => {
    assert.equal(endOf('I keep the bell. Ask'), 'I keep the bell. A');
    assert.equal(endOf('He said "go home now." Then he left'), 'He said "go home now." T');
    assert.equal(endOf('我不知道。也许'), '我不知道。也');
    assert.equal(endOf('Nobody comes here\nany more'), 'Nobody comes here\n');
  });

  it('takes no number, no lone word and no open end for one', () => {
    assert.equal(endOf('It costs 3.14 teeth'), null);
    assert.equal(endOf('No. Never! I keep the bell. Go'), 'No. Never! I keep the bell. G');
    assert.equal(endOf('I keep the bell.'), null);
    assert.equal(endOf('I keep the bell. '), null);
  });

  it('does not depend on where the text was cut', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(40), (tail, at) => {
        const text = `I sell names and teeth. ${tail}`;
        const whole = new SentenceMark();
        whole.push(text);
        const parts = new SentenceMark();
        parts.push(text.slice(0, at));
        parts.push(text.slice(at));
        assert.equal(parts.hasEnded, whole.hasEnded);
      }),
    );
  });
});
