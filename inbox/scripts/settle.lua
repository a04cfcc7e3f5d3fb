-- Correct what was set aside by what was spent.    KEYS purse:epoch purse:count purse:day:{day} purse:month:{month}
--   ARGV who, epoch at which it was set aside, spent on models, set aside for them, spent on messages, set aside for them,
--        seconds that the day's and the month's hash live
-- Where Redis was emptied since, what was set aside is gone. Once a count has begun, all that was spent is added: it may have passed this row
-- before it was written. Before that nothing is: the count will find the row.
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
