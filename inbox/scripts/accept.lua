-- Make texts durable and push a wake-up task for each person, in one step.
--
-- KEYS[1] agenda
-- KEYS[2] people
-- KEYS[3] waiting
-- KEYS[4] the task queue
-- KEYS[5...] for each text: inbox:{who} again:{who} rung:{who}
-- ARGV[1] grace in milliseconds
-- ARGV[2...] for each text: who, user id, encoded text, MessageSid, task message,
--            number of newest waiting texts to compare with (0: all)
--
-- Returns one value for each text:
--   1       added
--   0       not added: a text with the same MessageSid is waiting
--   string  not added: the error. The other texts are still handled.
--
-- A duplicate is counted in again:{who} and does not change the order. It is not counted if all texts are compared.
-- The user id is written for a duplicate, too: without it no worker can answer the text that waits.
-- While rung:{who} exists, a wake-up task is in the queue and no worker has taken it: no second one is pushed.
-- The worker that takes it finds all waiting texts. rung:{who} expires after the grace.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local agenda, people, waiting, queue, grace = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]

local function accept(inbox, again, rung, at)
  local who, sid, newest = ARGV[at], ARGV[at + 3], ARGV[at + 5]
  redis.call('HSETNX', people, who, ARGV[at + 1])
  -- a person without waiting texts has nothing to compare with
  local first = redis.call('ZADD', waiting, 'NX', now, who) == 1
  local entries = {}
  if not first then
    if newest == '0' then
      entries = redis.call('XREVRANGE', inbox, '+', '-')
    else
      entries = redis.call('XREVRANGE', inbox, '+', '-', 'COUNT', newest)
    end
  end
  for _, entry in ipairs(entries) do
    if entry[2][2] == sid then
      if newest ~= '0' then redis.call('HINCRBY', again, sid, 1) end
      redis.call('ZADD', agenda, 'LT', now + grace, who)
      return 0
    end
  end
  redis.call('XADD', inbox, '*', 'sid', sid, 'text', ARGV[at + 2])
  redis.call('ZADD', agenda, 'LT', now + grace, who)
  if redis.call('SET', rung, '1', 'NX', 'PX', grace) then
    redis.call('LPUSH', queue, ARGV[at + 4])
  end
  return 1
end

local outcomes = {}
for i = 1, (#ARGV - 1) / 6 do
  local inbox, again, rung = KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4]
  local succeeded, outcome = pcall(accept, inbox, again, rung, 6 * i - 4)
  outcomes[i] = outcome
  if not succeeded then outcomes[i] = type(outcome) == 'table' and outcome.err or tostring(outcome) end
end
return outcomes
