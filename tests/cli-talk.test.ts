/** `greenroom say`, `npcs` and `chat` against a real gateway: what a player sees, and what they are told when it fails. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { converse } from '../src/cli/chat.ts';
import { openGateway } from '../src/cli/client.ts';
import { realRuntime } from '../src/runtime.ts';
import type { ChatReply } from '../src/testing/chat-server.ts';
import { greenroom, type RunningGateway, startGateway } from './gateway-harness.ts';

const NPC = 'vampire_salon_keeper';

/** Two sentences; to a prompt that holds `endless`, one and then silence until the listener leaves. */
const reply: ChatReply = async (body, response, closed) => {
  const send = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`);
  const text = (content: string) =>
    send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (JSON.stringify(body['messages']).includes('endless')) {
    text('Sit down, for it begins with the flood. ');
    text('My cellar stood ');
    await once(closed, 'abort');
    return;
  }
  text('The parlour is closed tonight. ');
  text('Bring your own candle.');
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  send({
    choices: [],
    usage: { prompt_tokens: 90, completion_tokens: 12, prompt_tokens_details: { cached_tokens: 60 } },
  });
  response.end('data: [DONE]\n\n');
};

describe('the command line talks', () => {
  let gateway: RunningGateway;
  before(async () => {
    gateway = await startGateway(reply);
  });
  after(() => gateway[Symbol.asyncDispose]());
  const say = (...words: readonly string[]) => greenroom(['say', NPC, ...words, '--url', gateway.url]);

  it('says a line: the answer on standard output, where it came from on standard error', async () => {
    const run = await say('Good', 'evening.');
    assert.equal(run.code, 0, run.error);
    assert.equal(run.out, 'The parlour is closed tonight. Bring your own candle.\n');
    assert.match(
      run.error,
      /^engine · local · m \| tier 3, rung 0 \| 60 of 90 prompt tokens cached, 12 said \|/,
    );
    assert.doesNotMatch(run.error, /\u001b/);
    const { messages } = gateway.engine.asked.at(-1) as { messages: { content: string }[] };
    assert.match(messages.at(-1)?.content ?? '', /Good evening\./);
  });

  it('says a line as JSON, in another tier, in a conversation', async () => {
    const run = await say('Who are you?', '--json', '--tier', '1', '--conversation', 'c1', '--player', 'p1');
    assert.equal(run.code, 0, run.error);
    const done = JSON.parse(run.out) as Record<string, unknown>;
    assert.equal(done['tier'], 1);
    assert.equal(done['text'], (done['sentences'] as string[]).join(' '));
    assert.equal((done['conversation'] as { id: string }).id, 'c1');
    assert.equal(run.error, '');
  });

  it('names what is wrong with the line and what to do', async () => {
    const nobody = await greenroom(['say', 'vampire_salon_keper', 'hi', '--url', gateway.url]);
    assert.equal(nobody.code, 1);
    assert.match(nobody.error, /vampire_salon_keper/);
    const tier = await say('hi', '--tier', '5');
    assert.match(tier.error, /--tier is "5"; expected 1, 2, 3 or 4/);
    const wordless = await greenroom(['say', NPC, '--url', gateway.url]);
    assert.equal(wordless.code, 2);
  });

  it('says how to start a gateway when none is there, and what is no gateway', async () => {
    const none = await greenroom(['say', NPC, 'hi'], { environment: { PORT: '1' } });
    assert.equal(none.code, 1);
    assert.match(
      none.error,
      /no gateway answers at http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\): start one with `greenroom serve`/,
    );
    const other = await greenroom(['say', NPC, 'hi', '--url', `${gateway.url}/elsewhere`]);
    assert.equal(other.code, 1);
    assert.match(other.error, /elsewhere|nothing/);
    const address = await greenroom(['npcs', '--url', 'ftp://games']);
    assert.match(address.error, /"ftp:\/\/games"; expected one like http:\/\/127\.0\.0\.1:8080/);
  });

  it('lists who is there', async () => {
    const run = await greenroom(['npcs', '--url', gateway.url.replace('http://', '')]);
    assert.equal(run.code, 0, run.error);
    assert.match(run.out, /^vampire_salon_keeper +tier 3 {2}.+, vampire$/m);
    const rows = JSON.parse((await greenroom(['npcs', '--json', '--url', gateway.url])).out) as unknown[];
    assert.equal(rows.length, run.out.trimEnd().split('\n').length);
  });

  it('chats until /bye, and tells why on request', async () => {
    const run = await greenroom(['chat', NPC, '--url', gateway.url], {
      input: '/why\nGood evening.\n/why\n/bark greet\n/bark sneeze\n/sing\n/help\n/bye\nnot read\n',
    });
    assert.equal(run.code, 0, run.error);
    assert.match(run.out, /Nothing was said yet\./);
    assert.match(run.out, /: The parlour is closed tonight\. Bring your own candle\.\n/);
    assert.match(run.out, /engine · local · m \| .*60 of 90 prompt tokens cached.*first token \d+ ms/);
    assert.match(run.out, /\/bark needs one of: spot, /);
    assert.match(run.out, /\/sing is no command/);
    assert.match(run.out, /interrupt the line/);
    assert.doesNotMatch(run.out, /not read|\u001b/);
  });

  it('refuses to chat with nobody before a word is typed', async () => {
    const run = await greenroom(['chat', 'nobody', '--url', gateway.url]);
    assert.equal(run.code, 1);
    assert.match(run.error, /no NPC has the id "nobody"; there are /);
  });

  it('interrupts the line at Ctrl-C, frees the engine, goes on, and leaves at a second one', async () => {
    const input = new PassThrough();
    const output = new PassThrough().setEncoding('utf8');
    let shown = '';
    output.on('data', (text: string) => {
      shown += text;
    });
    const patience = AbortSignal.timeout(30_000);
    const until = async (pattern: RegExp) => {
      while (!pattern.test(shown)) {
        if (patience.aborted) throw new Error(`${String(pattern)} was not shown: ${shown}`);
        await turnOfLoop();
      }
    };
    await using client = openGateway({ url: gateway.url }, realRuntime);
    const ended = converse(
      {
        gateway: client,
        name: 'Keeper',
        body: { npc_id: NPC },
        input,
        output,
        isTerminal: true,
        isColoured: false,
      },
      new AbortController().signal,
    );
    input.write('Tell me an endless story.\n');
    await until(/Keeper: Sit down, for it begins with the flood\./);
    assert.equal(gateway.engine.running, 1);
    input.write('\u0003');
    await until(/flood\. –\n/);
    await gateway.engine.untilRunning(0);
    shown = '';
    input.write('Still there?\n');
    // Whatever it is: what was heard before is not heard again.
    await until(/Keeper: \S.*\n/);
    input.write('\u0003');
    await ended;
  });
});
