-- accept
-- Texts become durable and their people are rung for, in one step.
--   KEYS agenda people waiting queue, then for each text: inbox:{who} again:{who} rung:{who}
--   ARGV milliseconds of grace, how ids of bells begin, the first number of one, seven pieces of a bell (`inbox/doorbell.py`),
--        then for each text: who, user id, text, sid, who in base64, how many of the newest texts to compare with (0: all)
-- A text of the same sid that already waits is not added again: a duplicate is counted, costs nothing and changes no order.
-- A person who has been rung for, and whose bell nobody has heard yet, is not rung for again within the grace: whoever hears it finds all that wait.
-- Returns for each text 1, or 0: it waits already, or why it was not kept. One that cannot be kept does not keep the others out.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local agenda, people, waiting, queue, grace = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local before = 10

-- a bell is made here, because most persons of a crowd are rung for once, and a kilobyte for each text is a lot to bring
local function bell(who, encoded, number)
  local id = ARGV[2] .. string.format('%012x', number)
  local tag = ARGV[2] .. string.format('%012x', number + 1)
  return table.concat({ARGV[4], encoded, ARGV[5], id, ARGV[6], id, ARGV[7], who, ARGV[8], id, ARGV[9], tag, ARGV[10]})
end

local function accept(inbox, again, rung, at, number)
  local who, sid, newest = ARGV[at], ARGV[at + 3], ARGV[at + 5]
  -- whoever waits for nothing has nothing to compare with
  local first = redis.call('ZADD', waiting, 'NX', now, who) == 1
  local found = {}
  if not first then
    if newest == '0' then
      found = redis.call('XREVRANGE', inbox, '+', '-')
    else
      found = redis.call('XREVRANGE', inbox, '+', '-', 'COUNT', newest)
    end
  end
  for _, entry in ipairs(found) do
    if entry[2][2] == sid then
      if newest ~= '0' then redis.call('HINCRBY', again, sid, 1) end
      redis.call('ZADD', agenda, 'LT', now + grace, who)
      return 0
    end
  end
  redis.call('XADD', inbox, '*', 'sid', sid, 'text', ARGV[at + 2])
  redis.call('ZADD', agenda, 'LT', now + grace, who)
  redis.call('HSETNX', people, who, ARGV[at + 1])
  if redis.call('SET', rung, '1', 'NX', 'PX', grace) then
    redis.call('LPUSH', queue, bell(who, ARGV[at + 4], number))
  end
  return 1
end

local told = {}
for i = 1, (#ARGV - before) / 6 do
  local kept, outcome = pcall(accept, KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4], before + 6 * i - 5, ARGV[3] + 2 * (i - 1))
  told[i] = outcome
  if not kept then told[i] = type(outcome) == 'table' and outcome.err or tostring(outcome) end
end
return told
