import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FaultBook, faultOf, faultOfReply, type SharedFault } from './faults.ts';

describe('faults of the shared tier', () => {
  for (const [words, fault, code] of [
    ["OOM command not allowed when used memory > 'maxmemory'.", 'full', 'OOM'],
    ['ERR Error running script (call to f_1): @user_script:9: -OOM command not allowed', 'full', 'OOM'],
    ['MISCONF Redis is configured to save RDB snapshots', 'full', 'MISCONF'],
    ['NOAUTH Authentication required.', 'refused', 'NOAUTH'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'refused', 'WRONGPASS'],
    ["NOPERM this user has no permissions to run the 'eval' command", 'refused', 'NOPERM'],
    ["READONLY You can't write against a read only replica.", 'read_only', 'READONLY'],
    ['LOADING Redis is loading the dataset in memory', 'loading', 'LOADING'],
    ['MASTERDOWN Link with MASTER is down', 'loading', 'MASTERDOWN'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'wrong_type', 'WRONGTYPE'],
    ["ERR unknown command 'AUTH', with args beginning with: 'hunter2'", 'failed', 'ERR'],
    ['hunter2', 'failed', 'unknown'],
    ['', 'failed', 'unknown'],
  ] as const)
    it(`knows ${JSON.stringify(words.slice(0, 40))}, and repeats no more than its code`, () => {
      assert.deepEqual(faultOfReply(words), { fault, code });
      assert.deepEqual(faultOf(new Error(words)), { fault, code });
    });

  it('knows errors of the system by their code', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' });
    assert.deepEqual(faultOf(refused), { fault: 'unreachable', code: 'ECONNREFUSED' });
    assert.deepEqual(faultOf('no error at all'), { fault: 'failed', code: 'unknown' });
  });

  it('counts a fault each time and tells it once, until it is over', () => {
    const counted: SharedFault[] = [];
    const lines: string[] = [];
    const write = (event: string, fields?: Readonly<Record<string, unknown>>) =>
      lines.push(`${event} ${String(fields?.['fault'] ?? fields?.['faults'])}`);
    const book = new FaultBook({
      shown: 'redis://cache',
      log: { warn: write, info: write },
      onFault: (fault) => counted.push(fault),
    });
    book.reached();
    for (let times = 0; times < 3; times++) {
      book.note({ fault: 'loading', code: 'LOADING' });
      book.note({ fault: 'full', code: 'OOM' });
      book.count('slow');
    }
    assert.deepEqual(lines, ['recall.shared_fault loading', 'recall.shared_fault full']);
    assert.equal(counted.length, 9);
    book.reached();
    book.reached();
    book.note({ fault: 'loading' });
    book.written();
    book.note({ fault: 'malformed' });
    book.reached();
    book.note({ fault: 'malformed' });
    assert.deepEqual(lines.slice(2), [
      'recall.shared_back loading',
      'recall.shared_fault loading',
      'recall.shared_back full',
      'recall.shared_fault malformed',
      'recall.shared_back loading',
    ]);
  });
});
