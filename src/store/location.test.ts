import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { dataDirectory } from './location.ts';

it('the data folder is the one that is named, else where the desktop keeps data, else under home', () => {
  const home = path.join(homedir(), '.local', 'share', 'greenroom');
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [{ GREENROOM_DATA: '/srv/greenroom', XDG_DATA_HOME: '/x' }, '/srv/greenroom'],
    [{ GREENROOM_DATA: 'here' }, path.resolve('here')],
    [{ XDG_DATA_HOME: '/x' }, '/x/greenroom'],
    [{ XDG_DATA_HOME: 'relative' }, home],
    [{ GREENROOM_DATA: '' }, home],
    [{}, home],
  ];
  for (const [environment, expected] of cases) assert.equal(dataDirectory(environment), expected);
});
