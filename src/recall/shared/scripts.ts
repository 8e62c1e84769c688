/**
 * What runs inside the server, each in one go that nobody sees half of. Two keys belong to a question, in one hash slot:
 *
 *     <prefix>v:{<key>}   text, one variant a line: `<expires, epoch ms> <id> <encoded>\n`, in the order they were kept
 *     <prefix>f:{<key>}   hash, a flight under way: id, its sentences s0, s1 …, who listens, how it ended; expires as a lease
 *
 * The server's clock alone decides what is expired. Whatever stands in a key is untrusted: its length is asked before it is
 * read, lines are split by plain searches (a pattern on a poisoned line can take quadratic time and stop the server), and
 * another type counts as nothing. Writes that the server refuses (full, replica) give their error back instead of failing.
 */
import { createHash } from 'node:crypto';

export interface Script {
  readonly lua: string;
  /** SHA-1, by which the server knows it. */
  readonly sha: string;
}

/** Lines looked at in one entry; more are not ours. */
const LINES_MAX = 64;

/** Gateways told of one flight; the others hear by the end of its lease that they are alone. */
const LISTENERS_MAX = 1_000;

const PRELUDE = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function lines(key, bytesMax)
  local size = redis.pcall('STRLEN', key)
  if type(size) ~= 'number' then return {}, 'wrong_type' end
  if size > bytesMax then return {}, 'too_large' end
  if size == 0 then return {}, '' end
  local text, found, from, fault = redis.call('GET', key), {}, 1, ''
  for _ = 1, ${LINES_MAX} do
    local stop = string.find(text, '\\n', from, true)
    if not stop then break end
    local line = string.sub(text, from, stop - 1)
    local one = string.find(line, ' ', 1, true)
    local two = one and string.find(line, ' ', one + 1, true)
    local isOurs = two and one < 18 and two - one < 64
    local expires = isOurs and string.sub(line, 1, one - 1)
    if isOurs and string.find(expires, '^%d+$') then
      found[#found + 1] = { tonumber(expires), string.sub(line, one + 1, two - 1), string.sub(line, two + 1) }
    else
      fault = 'malformed'
    end
    from = stop + 1
  end
  if from <= #text then fault = 'malformed' end
  return found, fault
end
local function flightOf(key)
  local size = redis.pcall('HSTRLEN', key, 'id')
  if type(size) ~= 'number' then return nil, true end
  if size == 0 or size > 100 then return nil, false end
  return redis.call('HGET', key, 'id'), false
end
local function tell(key, text)
  local size = redis.call('HSTRLEN', key, 'to')
  if size == 0 or size > 65536 then return end
  local told = 0
  for inbox in string.gmatch(redis.call('HGET', key, 'to'), '[^ ]+') do
    if told == ${LISTENERS_MAX} then return end
    told = told + 1
    redis.call('PUBLISH', inbox, text)
  end
end
`;

/**
 * KEYS: entry, flight. ARGV: bytes at most, how our encoded variants begin, the id of a flight to lead ('' for none),
 * lease in ms. Gives `{kind, fault, …}`: `variants` with the ms for which all are fresh and the encoded ones, `lead` or `join`
 * with the flight's id, `nothing`.
 */
export const LOOK = script(`
local found, fault = lines(KEYS[1], tonumber(ARGV[1]))
local reply, left = { 'variants', fault, 0 }, math.huge
for _, line in ipairs(found) do
  if line[1] > now then
    if string.sub(line[3], 1, #ARGV[2]) == ARGV[2] then
      reply[#reply + 1] = line[3]
      left = math.min(left, line[1] - now)
    else reply[2] = 'malformed' end
  end
end
if #reply > 3 then
  reply[3] = left
  return reply
end
fault = reply[2]
local id, isOther = flightOf(KEYS[2])
if isOther then fault = 'wrong_type' end
if id and redis.call('HEXISTS', KEYS[2], 'end') == 0 then return { 'join', fault, id } end
if ARGV[3] == '' then return { 'nothing', fault } end
if isOther or id then
  local gone = redis.pcall('DEL', KEYS[2])
  if type(gone) == 'table' then return { 'nothing', gone.err } end
end
local set = redis.pcall('HSET', KEYS[2], 'id', ARGV[3])
if type(set) == 'table' then return { 'nothing', set.err } end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return { 'lead', fault, ARGV[3] }
`);

/**
 * KEYS: entry. ARGV: id, encoded, ms to live, variants at most, bytes at most. The same id is one and becomes the
 * newest; the oldest make room; what claims to live longer than we would let it is not ours. Gives the fault, or ''.
 */
export const KEEP = script(`
local kept, fault = lines(KEYS[1], tonumber(ARGV[5]))
local live, texts, bytes = tonumber(ARGV[3]), {}, 0
local function text(expires, id, encoded) return string.format('%.0f', expires) .. ' ' .. id .. ' ' .. encoded .. '\\n' end
local newest = text(now + live, ARGV[1], ARGV[2])
if #newest > tonumber(ARGV[5]) then return 'too_large' end
bytes = #newest
local from = #kept
while from > 0 do
  local line = kept[from]
  if line[2] ~= ARGV[1] and line[1] > now and line[1] <= now + live then
    local old = text(line[1], line[2], line[3])
    if #texts + 1 >= tonumber(ARGV[4]) or bytes + #old > tonumber(ARGV[5]) then break end
    bytes = bytes + #old
    table.insert(texts, 1, old)
  end
  from = from - 1
end
texts[#texts + 1] = newest
local set = redis.pcall('SET', KEYS[1], table.concat(texts), 'PX', ARGV[3])
if set.err then return set.err end
return fault
`);

/** KEYS: flight. ARGV: id, index, sentence, lease in ms. 1, or 0 when the flight is no longer ours. */
export const SAID = script(`
if flightOf(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 's' .. ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
tell(KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return 1
`);

/** KEYS: flight. ARGV: id, lease in ms. 1, or 0 when the flight is no longer ours. */
export const RENEW = script(`
if flightOf(KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

/**
 * KEYS: flight. ARGV: id, 'landed' or 'lost', ms. A landed flight stays for that long, for those who have not heard all of
 * it; whoever looks meanwhile may lead anew. A lost one is gone at once.
 */
export const FINISH = script(`
if flightOf(KEYS[1]) ~= ARGV[1] then return 0 end
tell(KEYS[1], ARGV[1] .. ' end ' .. ARGV[2])
if ARGV[2] == 'landed' and type(redis.pcall('HSET', KEYS[1], 'end', ARGV[2])) == 'number' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return 1
`);

/**
 * KEYS: flight. ARGV: id, our inbox, first index wanted, sentences at most, bytes of one at most. From then on the inbox is
 * told. Gives `{state, ms until the lease ends, sentence …}`: `on`, `landed`, `lost`.
 */
export const HEAR = script(`
if flightOf(KEYS[1]) ~= ARGV[1] then return { 'lost' } end
local state = redis.call('HGET', KEYS[1], 'end') or 'on'
if state == 'on' then
  local listeners = ''
  if redis.call('HSTRLEN', KEYS[1], 'to') <= 65536 then listeners = redis.call('HGET', KEYS[1], 'to') or '' end
  if not string.find(' ' .. listeners .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then
    local set = redis.pcall('HSET', KEYS[1], 'to', listeners .. (listeners == '' and '' or ' ') .. ARGV[2])
    if type(set) == 'table' then return { 'lost' } end
  end
elseif state ~= 'landed' then return { 'lost' } end
local reply, at = { state, redis.call('PTTL', KEYS[1]) }, tonumber(ARGV[3])
while at < tonumber(ARGV[4]) do
  local size = redis.call('HSTRLEN', KEYS[1], 's' .. at)
  if size == 0 then break end
  if size > tonumber(ARGV[5]) then return { 'lost' } end
  reply[#reply + 1] = redis.call('HGET', KEYS[1], 's' .. at)
  at = at + 1
end
return reply
`);

export const SCRIPTS: readonly Script[] = [LOOK, KEEP, SAID, RENEW, FINISH, HEAR];

function script(body: string): Script {
  const lua = PRELUDE + body;
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}
