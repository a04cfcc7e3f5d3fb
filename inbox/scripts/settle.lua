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
-- ARGV[5] spent on messages
-- ARGV[6] set aside for messages
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
local same = now == ARGV[2] or counting == ARGV[2]
for i, kind in ipairs({'model', 'sms'}) do
  local spent, aside = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local difference = same and spent - aside or spent
  if difference ~= 0 then
    redis.call('HINCRBY', KEYS[3], kind, difference)
    redis.call('HINCRBY', KEYS[3], kind .. ':' .. ARGV[1], difference)
    redis.call('HINCRBY', KEYS[4], kind, difference)
    redis.call('EXPIRE', KEYS[3], ARGV[7])
    redis.call('EXPIRE', KEYS[4], ARGV[8])
  end
end
return 1
