-- Replace the amount set aside by the amount spent.
--
-- KEYS[1] purse:epoch
-- KEYS[2] purse:count
-- KEYS[3] purse:day:{day}
-- KEYS[4] purse:month:{month}
-- ARGV[1] who
-- ARGV[2] epoch at which the money was set aside
-- ARGV[3] spent on models
-- ARGV[4] set aside for models
-- ARGV[5] spent on messages; empty: what is set aside for them stays, for the worker that answers the turn
-- ARGV[6] turn for whose messages money was set aside; empty: for none
-- ARGV[7] seconds for which the day's hash is kept
-- ARGV[8] seconds for which the month's hash is kept
--
-- If Redis was emptied since, the amount set aside is gone. There are two cases:
-- once a recount has begun, everything spent is added: the recount may have passed this row before it was written;
-- before a recount begins, nothing is added: the recount will find the row.
--
-- Returns 1 settled, 0 nothing changed because no recount has begun.
local now, counting = redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], 'epoch')
if not now and not counting then return 0 end
local function add(kind, amount)
  if amount == 0 then return end
  redis.call('HINCRBY', KEYS[3], kind, amount)
  redis.call('HINCRBY', KEYS[3], kind .. ':' .. ARGV[1], amount)
  redis.call('HINCRBY', KEYS[4], kind, amount)
  redis.call('EXPIRE', KEYS[3], ARGV[7])
  redis.call('EXPIRE', KEYS[4], ARGV[8])
end
local same = now == ARGV[2] or counting == ARGV[2]
add('model', ARGV[3] - (same and ARGV[4] or 0))
if ARGV[5] ~= '' then
  local aside = 'aside:' .. ARGV[6] .. ':' .. ARGV[1]
  add('sms', ARGV[5] - (redis.call('HGET', KEYS[3], aside) or 0))
  redis.call('HDEL', KEYS[3], aside)
end
return 1
