-- Forget a person in one step, so that no text can arrive in between. A text that is newer than the caller knows of
-- stays, and with it what a visit needs to answer it.
--
-- KEYS[1] inbox:{who}
-- KEYS[2] again:{who}
-- KEYS[3] rung:{who}
-- KEYS[4] visit:{who}
-- KEYS[5] agenda
-- KEYS[6] waiting
-- KEYS[7] served
-- KEYS[8] people
-- ARGV[1] who
-- ARGV[2] stream id of the last text that the caller knows of; `+`: all texts are forgotten
--
-- Of a person who is not in people no text can be answered: all are forgotten.
--
-- Returns the number of deleted texts, keys and entries.
local known = redis.call('HEXISTS', KEYS[8], ARGV[1]) == 1
local removed = redis.call('DEL', KEYS[4])
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', known and ARGV[2] or '+')) do
  removed = removed + redis.call('XDEL', KEYS[1], entry[1])
  redis.call('HDEL', KEYS[2], entry[2][2])
end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
if #oldest > 0 then
  redis.call('ZADD', KEYS[6], string.match(oldest[1][1], '^%d+'), ARGV[1])
  return removed
end
removed = removed + redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
for i = 5, 7 do removed = removed + redis.call('ZREM', KEYS[i], ARGV[1]) end
return removed + redis.call('HDEL', KEYS[8], ARGV[1])
